"""Examples for the detector: of each sample the degraded image and its clean twin, with a target and a weight a label.

Twins have everything in common but the degradation: the place, the camera and every change below. So neither the scene
nor the traces of a camera or of a file tell them apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.camera import photographed
from restorekit.degradations.scene import Scene, undegraded
from restorekit.image import decode_rgb, encode_rgb, to_float, to_uint8
from restorekit.rng import rng_for
from restorekit.shards.reader import ShardSample
from restorekit.tasks import DETECTED

VISIBLE = (1.5, 5.0)  # 8-bit levels: root mean square of a change that counts for nothing, and in full

ZOOM = (0.75, 1.6)  # pixels of a sample for one pixel of the crop; below 1 the sample is enlarged
GAMMA = 0.2  # standard deviation of the exponent's logarithm
BALANCE = 0.06  # standard deviation of the logarithm of each channel's factor
GAIN = 0.12  # the same of a factor on all channels
CONTRAST = 0.12  # the same of a factor on the distance from the mean
GREY = 0.08  # share without colour
SWAPPED = 0.3  # share with red, green and blue in another order, for more variety from few photographs
SOFT, SOFTEST = 0.3, 1.0  # share that is blurred alike in all directions, and pixels of its standard deviation
NOISY, NOISIEST = 0.5, 0.04
JPEG, QUALITY = 0.7, (35, 97)


@dataclass(frozen=True)
class Example:
    """An image with what is wrong with it: uint8 (crop, crop, 3), targets 0 or 1 and weights from 0 to 1 by label."""

    image: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def labels_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels of a sample's degraded image; none where the record says that it was left clean."""
    if record.get("clean"):
        return ()
    task = str(record["task"])
    parts = record["params"]["kind"].split("+") if task not in DETECTED and "params" in record else [task]
    return tuple(name for name in DETECTED if name in parts)


def twins(
    sample: ShardSample, rng: np.random.Generator, crop: int, faint: tuple[float, float]
) -> tuple[Example, Example]:
    """The degraded and the clean example of a sample, cut and changed alike."""
    record = sample.record
    degraded, clean = _cut(rng, [sample.degraded, _taken(sample.clean, record.get("camera"))], crop)
    present = np.array([name in labels_of(record) for name in DETECTED])
    nothing = np.zeros(len(DETECTED), np.float32)
    counts = np.ones(len(DETECTED), np.float32)
    seen = counts.copy()
    seen[present] = strength_of(record, degraded, clean, faint)
    if record["task"] == "rain" and record.get("params", {}).get("veil"):
        seen[DETECTED.index("haze")] = 0.0  # the veil of heavy rain is haze to some
    change = Change.drawn(rng)
    return (
        Example(change.applied(degraded), present.astype(np.float32), seen),
        Example(change.applied(clean), nothing, counts),
    )


def strength_of(
    record: Mapping[str, Any], degraded: np.ndarray, clean: np.ndarray, faint: tuple[float, float]
) -> float:
    """The weight of a degradation in [0, 1], by its severity and by what it changes in this crop: the smaller one.

    A crop beside the only drop of a photograph shows no drop.
    """
    change = float(np.sqrt(np.mean(np.square(degraded.astype(np.float32) - clean))))
    return min(_ramp(float(record["severity"]), faint), _ramp(change, VISIBLE))


def _ramp(value: float, limits: tuple[float, float]) -> float:
    return float(np.clip((value - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0))


def _taken(clean: np.ndarray, camera: Mapping[str, Any] | None) -> np.ndarray:
    """The clean image as the sample's camera took its degraded twin; the shards' has the exposure and tones alone."""
    if camera is None:
        return clean
    rest = {**camera, "gains": [1.0, 1.0, 1.0], "contrast": 0.0}
    return to_uint8(photographed(undegraded(Scene(to_float(clean))), rest).degraded)


def _cut(rng: np.random.Generator, images: Sequence[np.ndarray], crop: int) -> list[np.ndarray]:
    """The same part of images of one size, resized to `crop` x `crop`, and mirrored or not."""
    height, width = images[0].shape[:2]
    most = min(height, width) / crop
    zoom = float(np.exp(rng.uniform(np.log(min(ZOOM[0], most)), np.log(min(ZOOM[1], most)))))
    side = max(1, min(round(crop * zoom), height, width))
    top, left = (int(rng.integers(have - side + 1)) for have in (height, width))
    mirrored = bool(rng.random() < 0.5)
    how = cv2.INTER_AREA if side > crop else cv2.INTER_CUBIC
    made = []
    for image in images:
        part = image[top : top + side, left : left + side]
        part = np.asarray(cv2.resize(part, (crop, crop), interpolation=how))
        made.append(np.ascontiguousarray(part[:, ::-1] if mirrored else part))
    return made


@dataclass(frozen=True)
class Change:
    """What a camera, an editor and a file do to a photo, whatever is wrong with it."""

    gamma: float
    gains: tuple[float, float, float]
    contrast: float
    grey: bool
    order: tuple[int, int, int]  # of the channels
    blur: float  # pixels; 0: none
    noise: float  # standard deviation; 0: none
    seed: int
    quality: int | None  # of JPEG

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Change":
        gain = rng.normal(0.0, GAIN)
        gains = tuple(float(np.exp(gain + rng.normal(0.0, BALANCE))) for _ in range(3))
        blur, noise = float(rng.uniform(0.2, SOFTEST)), float(NOISIEST * rng.random() ** 2)
        quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
        soft, noisy, jpeg, grey, swapped = (bool(one) for one in rng.random(5) < (SOFT, NOISY, JPEG, GREY, SWAPPED))
        first, second, third = (int(one) for one in rng.permutation(3))
        return cls(
            float(np.exp(rng.normal(0.0, GAMMA))), (gains[0], gains[1], gains[2]),
            float(np.exp(rng.normal(0.0, CONTRAST))), grey, (first, second, third) if swapped else (0, 1, 2),
            blur if soft else 0.0, noise if noisy else 0.0, int(rng.integers(2**32)), quality if jpeg else None,
        )  # fmt: skip

    def applied(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) of uint8 (H, W, 3)."""
        levels = (np.arange(256, dtype=np.float32) / 255) ** np.float32(self.gamma)
        table = np.stack([levels * np.float32(gain) for gain in self.gains], axis=1)[:, None]
        made = cv2.LUT(np.ascontiguousarray(image[..., self.order]), table.astype(np.float32))
        if self.grey:
            made = np.repeat(cv2.cvtColor(made, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        made = cv2.addWeighted(made, self.contrast, made, 0.0, float(made.mean()) * (1 - self.contrast))
        if self.blur:
            made = cv2.GaussianBlur(made, (0, 0), self.blur)
        if self.noise:
            draws = rng_for(self.seed, "noise").standard_normal(made.shape, dtype=np.float32)
            made = made + np.float32(self.noise) * draws
        found = to_uint8(made)
        return found if self.quality is None else decode_rgb(encode_rgb(found, "jpeg", self.quality))
