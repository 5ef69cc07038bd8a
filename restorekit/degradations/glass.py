"""What a pane of glass reflects, in linear light: out of focus, doubled by its two faces, fading over the frame.

The camera is focused behind the glass, so that the reflected scene is defocused (Wan et al., SIR2, ICCV 2017). A thick
pane reflects at its front and its back face: two copies, shifted and of unequal weight (Shih et al., CVPR 2015). How
much is reflected changes over the frame with the angle of view. Lamps and windows of the reflected scene are far
brighter than white paper: their light, which the photograph cut off, is given back.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.record import uniform


def draw_glass(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters of a pane; lengths in fractions of the short side."""
    thick = bool(rng.random() < 0.7)
    shift, turn = uniform(rng, (0.006, 0.025)), uniform(rng, (0.0, 2 * np.pi))
    weight = uniform(rng, (0.3, 0.8))
    return {
        "defocus": uniform(rng, (0.0015, 0.014)),  # standard deviation of the blur
        "ghost": [shift * float(np.sin(turn)), shift * float(np.cos(turn))] if thick else [0.0, 0.0],  # (y, x)
        "ghost_weight": weight if thick else 0.0,  # of the back face's copy, for 1 of the front's
        "highlights": uniform(rng, (0.0, 6.0)),  # light that white has on top of its own
        "fade": [uniform(rng, (-1.2, 1.2)), uniform(rng, (-1.2, 1.2))],  # change of the log over the frame, (y, x)
        "fade_corners": uniform(rng, (0.0, 1.5)),  # drop of the log from the middle to a corner
        "alpha": 1.0 - 0.2 * float(rng.random()),  # transmission of the glass
    }


def glass_light(reflected: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """The light that the glass reflects, float32 (h, w, 3) from 0 up, of the reflected scene's light in [0, 1]."""
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
