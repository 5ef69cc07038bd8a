"""Photographs thrown out of focus in places before anything is degraded, as a wide aperture does.

A network whose training scenes are sharp all over takes what lies out of focus for the degradation: for drops, which
are soft, or for blur. What is drawn is on record.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.light import to_light, to_srgb

BLUR = (0.004, 0.03)  # of the short side: radius of the disc that a point becomes
SHARP = (0.15, 0.6)  # of the short side: radius of what stays in focus
SOFTNESS = 0.25  # of that radius: how far in focus goes over into out of focus


def draw_focus(rng: np.random.Generator) -> dict[str, Any]:
    """Where a photograph stays sharp and how far the rest is blurred, in shares of the sides, as JSON values."""
    low, high = np.log(BLUR)
    return {
        "centre": [float(value) for value in rng.random(2)],
        "sharp": float(rng.uniform(*SHARP)),
        "blur": float(np.exp(rng.uniform(low, high))),
    }


def out_of_focus(image: np.ndarray, focus: dict[str, Any]) -> np.ndarray:
    """`image`, float32 H x W x 3 sRGB in [0, 1], blurred by a disc, in linear light, round what stays in focus."""
    height, width = image.shape[:2]
    short = min(height, width)
    light = to_light(image)
    blurred = cv2.filter2D(light, -1, _disc(focus["blur"] * short), borderType=cv2.BORDER_REFLECT_101)
    down, right = np.ogrid[:height, :width]
    distance = np.hypot(down - focus["centre"][0] * height, right - focus["centre"][1] * width) / (
        focus["sharp"] * short
    )
    share = np.clip((distance - 1) / SOFTNESS, 0, 1).astype(np.float32)[..., None]
    return np.where(share > 0, to_srgb(light + share * (blurred - light)), image).clip(0, 1)


def _disc(radius: float) -> np.ndarray:
    """A disc whose rim is shared with the pixels that it cuts, float32 (2n + 1, 2n + 1), of sum 1."""
    reach = int(np.ceil(radius))
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(down, right), 0, 1).astype(np.float32)
    return np.asarray(disc / disc.sum())
