"""The calibration of a detector on validation samples: a temperature and a threshold for each label.

A temperature makes probabilities honest (Guo et al., On calibration of modern neural networks, ICML 2017). Thresholds
keep the share of clean images in which anything is found below a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restorekit.config import DetectorConfig
from restorekit.detection.examples import twins
from restorekit.detection.network import DetectorNetwork
from restorekit.detection.training import POSITIVE
from restorekit.errors import RestorekitError
from restorekit.rng import rng_for
from restorekit.shards.reader import iter_samples
from restorekit.tasks import DETECTED

LOOKS = 6  # crops of each validation image, each changed otherwise
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(8.0), 71))
LEAST, MOST = 0.5, 0.995  # of a threshold: nothing is found that is more likely absent


@dataclass(frozen=True)
class Calibration:
    """By label: the number that divides the logits, and the probability from which on something is found."""

    temperatures: Mapping[str, float]
    thresholds: Mapping[str, float]


@dataclass(frozen=True)
class Judged:
    """Logits, targets and weights of examples, (N, labels) each; `clean` (N,) are those with nothing wrong."""

    logits: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    @property
    def clean(self) -> np.ndarray:
        return np.asarray(self.targets.sum(axis=1) == 0)


def judge(network: DetectorNetwork, config: DetectorConfig, seed: int, shards: list[Path]) -> Judged:
    """What the network says of the samples in `shards`, `LOOKS` times each, and of their clean twins."""
    rows: list[list[np.ndarray]] = []
    for folder in shards:
        for sample in iter_samples(folder):
            for look in range(LOOKS):
                rng = rng_for(seed, "validation", folder.parent.name, sample.key, look)
                side = min(config.crop, *sample.clean.shape[:2])
                pair = twins(sample, rng, side, config.faint)
                images = torch.from_numpy(np.stack([one.image for one in pair])).permute(0, 3, 1, 2).float() / 255.0
                with torch.inference_mode():
                    logits = network(images).numpy()
                rows += [[found, one.targets, one.weights] for found, one in zip(logits, pair, strict=True)]
    if not rows:
        raise RestorekitError("there are no validation samples to calibrate the detector on: raise val.variants")
    logits, targets, weights = (np.stack(column).astype(np.float64) for column in zip(*rows, strict=True))
    return Judged(logits, targets, weights)


def calibrate(judged: Judged, false_alarms: float) -> Calibration:
    """The temperatures with the least cross entropy, and thresholds for at most `false_alarms` of the clean images."""
    temperatures = np.array([_temperature(judged, column) for column in range(len(DETECTED))])
    clean = probabilities(judged.logits[judged.clean], temperatures)
    thresholds = _thresholds(clean, false_alarms)
    return Calibration(
        dict(zip(DETECTED, temperatures.tolist(), strict=True)), dict(zip(DETECTED, thresholds.tolist(), strict=True))
    )


def figures(judged: Judged, calibration: Calibration) -> dict[str, Any]:
    """The share of clean images left alone; of each label the share found, and the share where it comes first."""
    found = probabilities(judged.logits, np.array([calibration.temperatures[name] for name in DETECTED]))
    passes = found > np.array([calibration.thresholds[name] for name in DETECTED])
    first = np.where(passes.any(axis=1), np.where(passes, found, -1.0).argmax(axis=1), -1)
    values: dict[str, Any] = {"clean_left_alone": float(1.0 - passes[judged.clean].any(axis=1).mean())}
    for column, name in enumerate(DETECTED):
        strong = (judged.targets[:, column] == 1) & (judged.weights[:, column] > 0.5)
        if strong.any():
            values[f"{name}_found"] = float(passes[strong, column].mean())
            values[f"{name}_first"] = float((first[strong] == column).mean())
    return values


def probabilities(logits: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits / temperatures, -60.0, 60.0))))


def _temperature(judged: Judged, column: int) -> float:
    logits, targets = judged.logits[:, column], judged.targets[:, column]
    if not targets.any():
        return 1.0
    weights = judged.weights[:, column] * np.where(targets == 1, POSITIVE, 1.0)
    signed = np.where(targets == 1, -logits, logits)
    entropies = [float((weights * np.logaddexp(0.0, signed / one)).sum()) for one in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(entropies))])


def _thresholds(clean: np.ndarray, false_alarms: float) -> np.ndarray:
    """Every label has the same share of the alarms, the largest with which all together stay within the limit."""
    for share in np.linspace(false_alarms, 0.0, 101):
        limits = np.clip(np.quantile(clean, 1.0 - share, axis=0), LEAST, MOST)
        if (clean > limits).any(axis=1).mean() <= false_alarms:
            break
    return np.asarray(limits)
