"""Haze by the scattering model I = J t + A (1 - t), t = exp(-beta d), with depth from the scene or from a prior.

Source: RESIDE (Li et al., TIP 2019), which draws A from [0.7, 1.0] and beta from [0.4, 1.6] outdoors.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.depth import draw_depth, scene_depth
from restorekit.degradations.record import between, new_record, uniform
from restorekit.degradations.relief import smooth_field
from restorekit.degradations.scene import Degraded, Scene, check_scene, visible_mask
from restorekit.rng import rng_for

KINDS = ("uniform", "varying")
BETA = (0.4, 1.6)  # over severity 0 to 1


class Haze:
    """kind "uniform": one beta; "varying": beta drifts over the frame in wide, flat banks; severity scales beta."""

    name = "haze"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        grey = uniform(rng, (0.7, 1.0))
        tint = uniform(rng, (-0.02, 0.02)) if rng.random() < 0.5 else 0.0  # above 0: warm
        variation = uniform(rng, (0.25, 0.5))
        return {
            **params,
            "airlight": [min(1.0, max(0.7, grey + shift)) for shift in (tint, 0.0, -tint)],  # sRGB
            "beta": between(BETA, severity),  # per unit of depth; 1 is far away
            "variation": variation if params["kind"] == "varying" else 0.0,  # standard deviation of the logarithm
            "depth": draw_depth(rng),
        }

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        optical = scene_depth(scene, params["depth"]) * np.float32(-params["beta"])
        if params["variation"]:
            banks = smooth_field(rng_for(params["seed"], "banks"), size, (0.4, 0.9), 3)
            optical *= cv2.exp(banks * np.float32(params["variation"]))
        transmission = cv2.exp(optical)
        degraded = scattered(scene.image, params["airlight"], transmission)
        layer = degraded - scene.image
        return Degraded(degraded, scene.image, layer, visible_mask(layer), transmission)


def scattered(image: np.ndarray, airlight: Sequence[float], transmission: np.ndarray) -> np.ndarray:
    """I = J t + A (1 - t), float32 (H, W, 3); `airlight` is A by channel, `transmission` float32 (H, W)."""
    # A + t (J - A), with one product less.
    light = np.array([*airlight, 0.0])  # as OpenCV takes a value for each channel
    hazy = cv2.subtract(image, light)
    cv2.multiply(hazy, cv2.cvtColor(transmission, cv2.COLOR_GRAY2RGB), hazy)
    return cv2.add(hazy, light, hazy)
