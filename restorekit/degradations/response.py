"""The camera's response, before and after an exposure: pixel values to the light that is averaged, and back.

Data sets of blur average in different spaces: GoPro with a gamma of 2.2, others the pixel values themselves. A camera
also compresses bright light, and a lamp is brighter than the white that it is clipped to, so that it leaves a streak.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.optics import GAMMA, power
from restorekit.degradations.scene import uniform

CLIPPED = 0.96  # values of a channel from here on count as clipped light, of a strength that the camera did not record


def draw_response(rng: np.random.Generator) -> dict[str, Any]:
    """gamma 1 to 2.4, often 2.2; white up to 10 times as bright as the curve's middle; clipped light up to 9 times."""
    usual, gamma = rng.random() < 0.4, uniform(rng, (1.0, 2.4))
    curved, shoulder = rng.random() < 0.35, uniform(rng, (0.3, 0.9))
    lit, highlights = rng.random() < 0.5, float(np.exp(uniform(rng, (-1.0, 2.1))))
    return {
        "gamma": GAMMA if usual else gamma,
        "shoulder": shoulder if curved else 0.0,  # compression of bright light: 0 is none
        "highlights": highlights if lit else 0.0,  # extra light of a clipped channel, in multiples of white
    }


def to_exposure(image: np.ndarray, response: dict[str, Any]) -> np.ndarray:
    """The light of sRGB values, float32 from 0 up; 1 is white without a shoulder."""
    light = power(image, response["gamma"]) if response["gamma"] != 1 else np.maximum(image, 0)
    if response["shoulder"]:
        cv2.divide(light, 1 - np.float32(response["shoulder"]) * np.minimum(light, 1), light)
    if response["highlights"]:
        clipped = np.clip((image - np.float32(CLIPPED)) * np.float32(1 / (1 - CLIPPED)), 0, 1)
        light *= 1 + np.float32(response["highlights"]) * clipped
    return light


def from_exposure(light: np.ndarray, response: dict[str, Any]) -> np.ndarray:
    """sRGB values, float32 in [0, 1], of the light of an exposure, which is not changed."""
    if response["shoulder"]:
        light = cv2.divide(light, 1 + np.float32(response["shoulder"]) * light)
    light = np.clip(light, 0, 1)
    return power(light, 1 / response["gamma"]) if response["gamma"] != 1 else light
