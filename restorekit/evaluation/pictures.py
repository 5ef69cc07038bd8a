"""Pictures of a pair: triptychs degraded | restored | clean, and maps laid over their photograph."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from restorekit.evaluation.localisation import MaskPrediction
from restorekit.evaluation.results import Facts

WHITE = 255  # the gutters' level
GUTTER = 6  # pixels between the panels of a triptych
LONGEST = 1280  # pixels of a panel's longer side; larger images are scaled down for the page
MAP_GUTTER = 4
MAP_LONGEST = 320
FAINT = 0.55  # share of the photograph's grey that shows through a map


@dataclass(frozen=True)
class Triptych:
    """uint8 (height, panels * width + (panels - 1) * GUTTER, 3): panels of `width` x `height` pixels."""

    image: np.ndarray
    width: int
    height: int
    panels: int


@dataclass(frozen=True)
class Overlays:
    """uint8 (height, n * width + (n - 1) * MAP_GUTTER, 3), panels from left to right as named."""

    image: np.ndarray
    names: tuple[str, ...]


def choose(facts: Sequence[Facts], count: int) -> list[str]:
    """Keys of `count` images (or all, if there are fewer), spread over photographs and severities.

    Photographs take turns, by name. The i-th picture is the image of its photograph whose severity has the rank
    nearest to (i + 1/2) / count among all images. The choice depends on no result.
    """
    severities = sorted(facts, key=lambda one: (one.severity is None, one.severity or 0.0, one.key))
    rank = {one.key: (place + 0.5) / len(facts) for place, one in enumerate(severities)}
    left = {
        name: [one.key for one in severities if one.photograph == name]
        for name in spread(sorted({one.photograph for one in facts}), count)
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
    """Uint8 (H, W, 3) images of one size side by side, without labels, in white gutters; two where `clean` is None."""
    panels = [_fitted(image, LONGEST) for image in (degraded, restored, clean) if image is not None]
    height, width = panels[0].shape[:2]
    return Triptych(_side_by_side(panels, GUTTER), width, height, len(panels))


def overlays(degraded: np.ndarray, truth: np.ndarray, shown: MaskPrediction) -> Overlays:
    """The degraded image, uint8 (H, W, 3), then the true mask, the predicted mask and every further map over it.

    Masks keep their range [0, 1]; other maps are stretched from their lowest to their highest value.
    """
    panels = {"degraded": degraded, "true mask": laid_over(degraded, truth.astype(np.float32))}
    panels["predicted mask"] = laid_over(degraded, shown.mask)
    panels |= {name: laid_over(degraded, stretched(values)) for name, values in shown.maps.items()}
    fitted = [_fitted(panel, MAP_LONGEST) for panel in panels.values()]
    return Overlays(_side_by_side(fitted, MAP_GUTTER), tuple(panels))


def laid_over(photo: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A map (H, W) in [0, 1] over the grey photograph, uint8 (H, W, 3): 0 stays grey, 1 is full colour."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2).astype(np.float32)
    levels = np.clip(values * 255, 0, 255).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.float32)
    amount = np.clip(values, 0, 1)[..., None].astype(np.float32)
    return np.asarray(np.clip(FAINT * grey * (1 - amount) + colour * amount, 0, 255).round(), np.uint8)


def stretched(values: np.ndarray) -> np.ndarray:
    """`values` scaled so that the lowest is 0 and the highest is 1; a constant map becomes 0."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _fitted(image: np.ndarray, longest: int) -> np.ndarray:
    scale = longest / max(image.shape[:2])
    if scale >= 1.0:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _side_by_side(panels: Sequence[np.ndarray], gutter: int) -> np.ndarray:
    gap = np.full((panels[0].shape[0], gutter, 3), WHITE, np.uint8)
    return np.concatenate([part for panel in panels for part in (gap, panel)][1:], axis=1)


def spread(names: list[str], count: int) -> list[str]:
    """At most `count` of the names, evenly over the list."""
    if len(names) <= count:
        return names
    return [names[int((index + 0.5) * len(names) / count)] for index in range(count)]
