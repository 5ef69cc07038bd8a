"""Light from sRGB values and back by one power law, as the published syntheses take it, at the speed of two passes."""

import cv2
import numpy as np

GAMMA = 2.2
_LEAST = 1e-14


def to_light(image: np.ndarray) -> np.ndarray:
    """Linear light, float32 from 0 up, of sRGB values from 0 up."""
    return _power(image, GAMMA)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """sRGB values, float32, of linear light from 0 up; above 1 where the light is."""
    return _power(light, 1 / GAMMA)


def _power(image: np.ndarray, exponent: float) -> np.ndarray:
    """image ** exponent; zeros count as 1e-14, for which the result is below 1e-6 (pow itself is slow at zero)."""
    positive = np.clip(image, _LEAST, np.inf)
    logarithm = cv2.log(positive, positive)
    logarithm *= np.float32(exponent)
    return cv2.exp(logarithm, logarithm)
