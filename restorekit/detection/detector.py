"""What is wrong with a photo of any size: a probability for each label, from the whole photo and from parts of it.

The whole, reduced to the size of the training's images, shows haze and the drops on a windscreen. Parts of a larger
photo, seen more closely, show thin streaks and the blur of a hand, which the reduction removes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from restorekit.detection.calibration import Calibration, probabilities
from restorekit.detection.folder import load_detector
from restorekit.detection.network import DetectorNetwork
from restorekit.image import to_uint8
from restorekit.tasks import DETECTED

SHORT_SIDE = 320  # pixels of the whole, as in training
LONGEST = 4 * SHORT_SIDE  # of a panorama
CLOSE = 1280  # short side of the photo that parts are cut from; training comes as close
PART = 288  # pixels of a part's side
GRID = (2, 3)  # parts down and across a photo wider than high


@dataclass(frozen=True)
class Detection:
    """What a detector says of a photo: a calibrated probability for each label, and the labels found."""

    probabilities: Mapping[str, float]
    found: tuple[str, ...]  # above their thresholds, the most probable first

    def in_words(self, count: int = 2) -> str:
        """The labels found with their probabilities; of a clean photo the `count` most probable ones."""
        ranked = sorted(self.probabilities, key=lambda name: -self.probabilities[name])
        named = [f"{name} {self.probabilities[name]:.2f}" for name in self.found or ranked[:count]]
        return ", ".join(named) if self.found else f"clean ({', '.join(named)})"


class Detector:
    """A trained network with its calibration."""

    def __init__(self, network: DetectorNetwork, calibration: Calibration) -> None:
        self.network, self.calibration = network, calibration
        self._temperatures = np.array([calibration.temperatures[name] for name in DETECTED])

    @classmethod
    def load(cls, folder: Path) -> "Detector":
        """The detector in `folder`; a RestorekitError where it is damaged."""
        network, calibration, _ = load_detector(folder)
        return cls(network, calibration)

    def detect(self, pixels: np.ndarray) -> Detection:
        """What is wrong with a photo, uint8 or float32 (H, W, 3) sRGB."""
        scores = probabilities(combined(*self.logits(pixels)), self._temperatures)
        found = dict(zip(DETECTED, scores.tolist(), strict=True))
        passing = [name for name in DETECTED if found[name] > self.calibration.thresholds[name]]
        return Detection(found, tuple(sorted(passing, key=lambda name: -found[name])))

    def logits(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The network's answers on the whole, (labels,), and on each part, (parts, labels)."""
        whole, parts = whole_of(pixels), parts_of(pixels)
        return self._answers(whole[None])[0], self._answers(parts)

    def _answers(self, images: np.ndarray) -> np.ndarray:
        if not len(images):
            return np.zeros((0, len(DETECTED)))
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0)
        with torch.inference_mode():
            return np.asarray(self.network(batch).double().numpy())


def combined(whole: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """One number a label: the larger one of the whole's and of the mean of the parts'."""
    return np.maximum(whole, parts.mean(axis=0)) if len(parts) else whole


def whole_of(pixels: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 3): the photo, reduced to a short side of `SHORT_SIDE`; a panorama to `LONGEST`. Never enlarged."""
    return _reduced(pixels, SHORT_SIDE / min(pixels.shape[:2]), LONGEST)


def parts_of(pixels: np.ndarray) -> np.ndarray:
    """uint8 (n, PART, PART, 3): evenly placed parts of the photo at a closer scale; none of a photo hardly larger."""
    height, width = pixels.shape[:2]
    if min(height, width) < 1.25 * PART:
        return np.zeros((0, PART, PART, 3), np.uint8)
    close = _reduced(pixels, CLOSE / min(height, width), 4 * CLOSE)
    height, width = close.shape[:2]
    if min(height, width) < PART:  # a panorama
        return np.zeros((0, PART, PART, 3), np.uint8)
    rows, columns = GRID if width >= height else GRID[::-1]
    tops, lefts = _places(height, rows), _places(width, columns)
    return np.stack([close[top : top + PART, left : left + PART] for top in tops for left in lefts])


def _places(side: int, count: int) -> list[int]:
    """The starts of `count` parts in equal cells of a side."""
    return [round((side - PART) * (number + 0.5) / count) for number in range(count)]


def _reduced(pixels: np.ndarray, scale: float, longest: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(scale, longest / max(height, width))
    if scale < 1.0:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    return to_uint8(np.ascontiguousarray(pixels))
