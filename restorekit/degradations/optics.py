"""Light on its way through a lens: sRGB to linear light and back, and an open aperture.

Like published syntheses, sRGB counts as one power law, which takes two passes over the image.
"""

from typing import Any

import cv2
import numpy as np

GAMMA = 2.2
BLUR = (0.004, 0.03)  # of the short side: radius of the disc that a point out of focus becomes
SHARP = (0.15, 0.6)  # of the short side: radius of the part in focus
NEAR = 0.3  # share of draws without a part in focus: the camera is focused on the glass, or on nothing
SOFTNESS = 0.25  # of that radius: width of the transition from in focus to out of focus
_LEAST = 1e-14


def to_light(image: np.ndarray) -> np.ndarray:
    """Linear light, float32 from 0 up, of sRGB values from 0 up."""
    return power(image, GAMMA)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """sRGB values, float32, of linear light from 0 up; above 1 where the light is."""
    return power(light, 1 / GAMMA)


def power(image: np.ndarray, exponent: float) -> np.ndarray:
    """image ** exponent, float32; zeros count as 1e-14, with a result below 1e-6, because pow is slow at zero."""
    positive = np.clip(image, _LEAST, np.inf)
    logarithm = cv2.log(positive, positive)
    logarithm *= np.float32(exponent)
    return cv2.exp(logarithm, logarithm)


def draw_focus(rng: np.random.Generator) -> dict[str, Any]:
    """The part of a photograph in focus and the blur of the rest, in shares of the sides, as JSON values.

    A network that trains on scenes in focus everywhere takes parts out of focus for drops, which are soft, or for blur.
    """
    low, high = np.log(BLUR)
    near, sharp = rng.random() < NEAR, float(rng.uniform(*SHARP))
    return {
        "centre": [float(value) for value in rng.random(2)],
        "sharp": 0.0 if near else sharp,
        "blur": float(np.exp(rng.uniform(low, high))),
    }


def out_of_focus(image: np.ndarray, focus: dict[str, Any]) -> np.ndarray:
    """`image`, float32 H x W x 3 sRGB in [0, 1], blurred by a disc in linear light, except for the part in focus."""
    height, width = image.shape[:2]
    short = min(height, width)
    light = to_light(image)
    blurred = cv2.filter2D(light, -1, disc(focus["blur"] * short), borderType=cv2.BORDER_REFLECT_101)
    if not focus["sharp"]:
        return to_srgb(blurred).clip(0, 1)
    down, right = np.ogrid[:height, :width]
    distance = np.hypot(down - focus["centre"][0] * height, right - focus["centre"][1] * width) / (
        focus["sharp"] * short
    )
    share = np.clip((distance - 1) / SOFTNESS, 0, 1).astype(np.float32)[..., None]
    return np.where(share > 0, to_srgb(light + share * (blurred - light)), image).clip(0, 1)


def disc(radius: float) -> np.ndarray:
    """A disc with an anti-aliased rim, float32 (2n + 1, 2n + 1), of sum 1."""
    reach = int(np.ceil(radius))
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(down, right), 0, 1).astype(np.float32)
    return np.asarray(disc / disc.sum())
