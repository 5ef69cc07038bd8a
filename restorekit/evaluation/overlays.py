"""Maps laid over the photograph they belong to, in colour, side by side in one small picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from restorekit.evaluation.masks import Localised

LONGEST = 320  # pixels of a panel's longer side
GUTTER = 4
FAINT = 0.55  # how much of the photograph's grey is left under a map


@dataclass(frozen=True)
class Overlays:
    """uint8 (height, n * width + (n - 1) * GUTTER, 3), panels from left to right as named."""

    image: np.ndarray
    names: tuple[str, ...]


def overlays(degraded: np.ndarray, wanted: np.ndarray, shown: Localised) -> Overlays:
    """The degraded image, uint8 (H, W, 3), and over it the true mask, the predicted one and every further map.

    Masks have their own range, other maps that from their lowest to their highest value.
    """
    panels = {"degraded": degraded, "true mask": laid_over(degraded, wanted.astype(np.float32))}
    panels["predicted mask"] = laid_over(degraded, shown.mask)
    panels |= {name: laid_over(degraded, spread(values)) for name, values in shown.maps.items()}
    return _side_by_side(panels)


def laid_over(photo: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A map (H, W) in [0, 1] over the grey photograph, uint8 (H, W, 3): what is 0 stays grey, 1 is full colour."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2).astype(np.float32)
    levels = np.clip(values * 255, 0, 255).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.float32)
    amount = np.clip(values, 0, 1)[..., None].astype(np.float32)
    return np.asarray(np.clip(FAINT * grey * (1 - amount) + colour * amount, 0, 255).round(), np.uint8)


def spread(values: np.ndarray) -> np.ndarray:
    """`values` from 0 at their lowest to 1 at their highest; a constant map becomes 0."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _side_by_side(panels: Mapping[str, np.ndarray]) -> Overlays:
    height, width = next(iter(panels.values())).shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    gutter = np.full((size[1], GUTTER, 3), 255, np.uint8)
    parts = []
    for panel in panels.values():
        parts += [gutter, cv2.resize(panel, size, interpolation=cv2.INTER_AREA) if scale < 1 else panel]
    return Overlays(np.concatenate(parts[1:], axis=1), tuple(panels))
