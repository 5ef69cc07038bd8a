"""Light on its way through a pane and a lens: sRGB to linear light and back, an open aperture, reflecting glass.

Like published syntheses, sRGB counts as one power law, which takes two passes over the image. Reflections in
glass are out of focus, because the camera is focused behind the pane (Wan et al., SIR2, ICCV 2017). A thick pane
reflects at its front and its back face: two copies, shifted and of unequal weight (Shih et al., CVPR 2015). The
reflected share changes over the frame with the angle of view. Lamps and windows are far brighter than white paper; the
highlights give back the light that the photograph cut off.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.scene import uniform

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


def draw_glass(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters of a pane, with lengths in fractions of the short side."""
    thick = bool(rng.random() < 0.7)
    shift, turn = uniform(rng, (0.006, 0.025)), uniform(rng, (0.0, 2 * np.pi))
    weight = uniform(rng, (0.3, 0.8))
    return {
        "defocus": uniform(rng, (0.0015, 0.014)),  # standard deviation of the blur
        "ghost": [shift * float(np.sin(turn)), shift * float(np.cos(turn))] if thick else [0.0, 0.0],  # (y, x)
        "ghost_weight": weight if thick else 0.0,  # of the back face's copy; the front's is 1
        "highlights": uniform(rng, (0.0, 6.0)),  # extra light of white, in multiples of its own
        "fade": [uniform(rng, (-1.2, 1.2)), uniform(rng, (-1.2, 1.2))],  # change of the log over the frame, (y, x)
        "fade_corners": uniform(rng, (0.0, 1.5)),  # drop of the log from the middle to a corner
        "alpha": 1.0 - 0.2 * float(rng.random()),  # transmission of the glass
    }


def glass_light(reflected: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """The light that the glass reflects, float32 (h, w, 3) from 0 up, for the scene's light in [0, 1]."""
    size = (reflected.shape[0], reflected.shape[1])
    brightness = cv2.cvtColor(reflected, cv2.COLOR_RGB2GRAY)
    light = reflected * (1 + np.float32(params["highlights"]) * brightness**4)[..., None]
    if params["ghost_weight"]:
        y, x = (shift * min(size) for shift in params["ghost"])
        moved = cv2.warpAffine(
            light, np.array([[1.0, 0.0, x], [0.0, 1.0, y]]), size[::-1], borderMode=cv2.BORDER_REFLECT_101
        )
        share = 1 / (1 + params["ghost_weight"])
        light = cv2.addWeighted(light, share, moved, 1 - share, 0.0)
    sigma = params["defocus"] * min(size)
    if sigma > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    y, x = (np.linspace(-0.5, 0.5, side, dtype=np.float32) if side > 1 else np.zeros(1, np.float32) for side in size)
    fade = np.float32(params["fade"][0]) * y - np.float32(2 * params["fade_corners"]) * y * y
    across = np.float32(params["fade"][1]) * x - np.float32(2 * params["fade_corners"]) * x * x
    light *= np.outer(np.exp(fade), np.exp(across))[..., None]
    return light
