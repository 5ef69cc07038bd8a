"""Traits of degraded photographs in figures: distance from clean, share of changed pixels, direction of streaks."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np

from restorekit.degradations.scene import visible_mask
from restorekit.image import to_float

REFERENCE = "reference_traits.json"  # in this file's folder
STREAKS = ("rain",)  # tasks whose change has a direction


@dataclass(frozen=True)
class Traits:
    """The traits of a task's pairs under one name: (10th, 50th, 90th percentile) over `n` pairs."""

    task: str
    name: str
    psnr: tuple[float, float, float]  # of the degraded image, dB
    share: tuple[float, float, float]  # of visibly changed pixels
    direction: tuple[float, float, float] | None  # degrees from the vertical, positive to the right; streaks only
    n: int


def reference_traits() -> tuple[Traits, ...]:
    """The traits of public pairs, as tests/bench/reference_traits.py measured and wrote them."""
    entries = json.loads(files("restorekit.report").joinpath(REFERENCE).read_text(encoding="utf-8"))
    return tuple(
        Traits(
            one["task"], one["name"], _three(one["psnr"]), _three(one["share"]),
            None if one["direction"] is None else _three(one["direction"]), one["n"],
        )
        for one in entries
    )  # fmt: skip


def traits_of(task: str, name: str, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Traits:
    """The traits of (degraded, clean) pairs, each uint8 or float32 (H, W, 3) sRGB; at least one pair."""
    psnr, share, direction = [], [], []
    for degraded, clean in pairs:
        change = np.clip(to_float(degraded), 0.0, 1.0) - to_float(clean)
        psnr.append(-10 * float(np.log10(max(1e-10, np.mean(change.astype(np.float64) ** 2)))))
        share.append(float(visible_mask(change).mean()))
        if task in STREAKS:
            direction.append(streak_direction(change))
    return Traits(task, name, _spread(psnr), _spread(share), _spread(direction) if direction else None, len(psnr))


def streak_direction(change: np.ndarray) -> float:
    """The main direction of `change`, float32 (H, W, 3): degrees from the vertical, positive to the right.

    Streaks are normal to the main direction of the brightness gradients (structure tensor over the frame).
    """
    # Blurred first, because differences of neighbouring pixels underestimate streaks one pixel wide.
    grey = cv2.GaussianBlur(cv2.cvtColor(change, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)
    down, across = np.gradient(grey.astype(np.float64)) if min(grey.shape) > 1 else (np.zeros(1), np.zeros(1))
    normal = 0.5 * np.arctan2(2 * (down * across).sum(), (across**2 - down**2).sum())
    return -float(np.degrees(normal))


def _spread(values: list[float]) -> tuple[float, float, float]:
    return _three(np.percentile(values, (10, 50, 90)).tolist())


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = values
    return low, middle, high
