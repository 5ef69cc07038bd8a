"""Triptychs degraded | restored | clean (or the first two), of images that are chosen before anything is restored."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from restorekit.evaluation.pairs import Facts

GUTTER = 6  # pixels between the panels
GUTTER_LEVEL = 255
LONGEST = 1280  # pixels of a panel's longer side; larger images are scaled down for the page


@dataclass(frozen=True)
class Triptych:
    """uint8 (height, panels * width + (panels - 1) * GUTTER, 3): panels of `width` x `height` pixels."""

    image: np.ndarray
    width: int
    height: int
    panels: int


def choose(facts: Sequence[Facts], count: int) -> list[str]:
    """Keys of `count` images (or all, if there are fewer), spread over photographs and severities.

    Photographs take turns, by name; the i-th picture is the one of its photograph whose severity's rank among all
    is nearest to (i + 1/2) / count. Nothing else decides, and no result.
    """
    severities = sorted(facts, key=lambda one: (one.severity is None, one.severity or 0.0, one.key))
    rank = {one.key: (place + 0.5) / len(facts) for place, one in enumerate(severities)}
    left = {
        name: [one.key for one in severities if one.photograph == name]
        for name in _spread(sorted({one.photograph for one in facts}), count)
    }
    chosen: list[str] = []
    while len(chosen) < count and any(left.values()):
        for keys in left.values():
            if keys and len(chosen) < count:
                target = (len(chosen) + 0.5) / count
                chosen.append(min(keys, key=lambda key: (abs(rank[key] - target), key)))
                keys.remove(chosen[-1])
    return chosen


def triptych(degraded: np.ndarray, restored: np.ndarray, clean: np.ndarray | None) -> Triptych:
    """Uint8 (H, W, 3) images of one size side by side, with a white gutter and no labels; two where none is clean."""
    panels = [_fitted(image) for image in (degraded, restored, clean) if image is not None]
    height, width = panels[0].shape[:2]
    gutter = np.full((height, GUTTER, 3), GUTTER_LEVEL, np.uint8)
    parts = [part for panel in panels for part in (gutter, panel)][1:]
    return Triptych(np.concatenate(parts, axis=1), width, height, len(panels))


def _fitted(image: np.ndarray) -> np.ndarray:
    scale = LONGEST / max(image.shape[:2])
    if scale >= 1.0:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _spread(names: list[str], count: int) -> list[str]:
    """At most `count` of the names, evenly over the list."""
    if len(names) <= count:
        return names
    return [names[int((index + 0.5) * len(names) / count)] for index in range(count)]
