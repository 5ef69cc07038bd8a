"""Haze by the scattering model I = J t + A (1 - t), t = exp(-beta d), with measured depth or a stated prior.

Source: RESIDE (Li et al., TIP 2019), which draws a grey A from [0.7, 1.0] and beta from [0.4, 1.6] outdoors. Real haze
is wider: RIDCP (Wu et al., CVPR 2023) adds dark and tinted airlight, a darker scene and noise below the haze; NH-HAZE
(Ancuti et al., 2020) has thick patches of smoke before a clear scene.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.depth import FAR, draw_layout, scene_depth
from restorekit.degradations.fields import smooth_field
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform, visible_mask
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["haze"].kinds
# Over severity 0 to 1, times a factor of each frame. Median input PSNR of kind "uniform" at severity 0.2, 0.5 and 0.8
# over BSDS: 18.0, 15.1 and 13.7 dB (17.7, 14.9 and 13.2 with RESIDE's ranges alone); 90 % of the frames at 0.5 lie
# between 10 and 24 dB. Real pairs: RESIDE 8 to 20 dB, indoor ones made from NYU's depth 9 to 17.
BETA = (0.4, 1.6)
FACTOR = (0.4, 2.2)  # limits of that factor, which is 1 in the median
AIRLIGHT = (0.25, 1.0)  # limits of each channel, sRGB
BRIGHT = 0.7  # from here up lies RESIDE's airlight, and that of most frames
TINT = (0.03, 0.15)  # largest difference of a channel from grey: mostly, and in colourful haze
DARKENING = (1.5, 3.0)  # RIDCP's exponents of the scene's light, reached where the haze is opaque
NOISE = (0.004, 0.03)  # standard deviation before the haze, sRGB
DENSER = 1.8  # density of patches, so that the median input PSNR is that of even haze
THICKEST = 2.5  # density of a patch against the mean, before it is made denser
_TILE = 256  # pixels; the noise repeats, which no crop for training shows


class Haze:
    """kind "uniform": one beta; "varying": beta changes over the frame in wide, flat banks; "patches": thick smoke in
    some parts of the frame, little in others. Severity scales beta.
    """

    name = "haze"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        airlight = draw_airlight(rng)
        factor = float(np.clip(np.exp(rng.normal(0.0, 0.4)), *FACTOR))
        variation, cover = uniform(rng, (0.2, 0.6)), uniform(rng, (-0.6, 0.8))
        floor, sharpness, flat = uniform(rng, (0.05, 0.5)), uniform(rng, (1.0, 2.0)), float(rng.random())
        darkening = uniform(rng, DARKENING) if rng.random() < 0.25 else 1.0
        noise = float(np.exp(rng.uniform(*np.log(NOISE)))) if rng.random() < 0.3 else 0.0
        patches = {
            "cover": cover,  # of the smooth field of deviation 1: the more, the larger the patches
            "floor": floor,  # density between the patches, against their mean
            "sharpness": sharpness,  # exponent of the density in a patch
            "flat": flat,  # share of the haze that lies near the camera, the same before all depths
        }
        return {
            **params,
            "airlight": airlight,
            "beta": factor * between(BETA, severity),  # per unit of depth; 1 is far away
            "variation": variation if params["kind"] == "varying" else 0.0,  # standard deviation of the logarithm
            "patches": patches if params["kind"] == "patches" else None,
            "darkening": darkening,  # exponent of the scene's sRGB values where the haze is opaque
            "noise": noise,  # before the haze
            "depth": draw_layout(rng),
        }

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        optical = scene_depth(scene, params["depth"])
        if params["patches"]:
            optical += np.float32(params["patches"]["flat"]) * (np.float32(0.7 * FAR) - optical)
        optical *= np.float32(-params["beta"])
        if params["variation"]:
            banks = smooth_field(rng_for(params["seed"], "banks"), size, (0.4, 0.9), 3)
            optical *= cv2.exp(banks * np.float32(params["variation"]))
        if params["patches"]:
            optical *= _patches(rng_for(params["seed"], "patches"), size, params["patches"])
        transmission = cv2.exp(optical)
        before = scene.image
        if params["darkening"] != 1.0:
            before = darkened(before, params["darkening"], transmission)
        if params["noise"]:
            before = before + _noise(rng_for(params["seed"], "noise"), size, params["noise"])
        degraded = scattered(before, params["airlight"], transmission)
        layer = degraded - scene.image
        return Degraded(degraded, scene.image, layer, visible_mask(layer), transmission)


def draw_airlight(rng: np.random.Generator) -> list[float]:
    """The airlight's red, green and blue, sRGB: mostly bright and nearly grey, sometimes dim, sometimes tinted."""
    grey = uniform(rng, (BRIGHT, 1.0)) if rng.random() < 0.7 else uniform(rng, (AIRLIGHT[0], BRIGHT))
    which = rng.random()
    span = TINT[0] if which < 0.5 else TINT[1] if which < 0.7 else 0.0
    warmth, green = uniform(rng, (-span, span)), uniform(rng, (-0.3 * span, 0.3 * span))
    shifts = (warmth, green, -warmth)
    return [float(np.clip(grey + shift, *AIRLIGHT)) for shift in shifts]


def scattered(image: np.ndarray, airlight: Sequence[float], transmission: np.ndarray) -> np.ndarray:
    """I = J t + A (1 - t), float32 (H, W, 3); `airlight` is A by channel, `transmission` float32 (H, W)."""
    # A + t (J - A) saves a product.
    light = np.array([*airlight, 0.0])  # OpenCV takes a scalar of four channels
    hazy = cv2.subtract(image, light)
    cv2.multiply(hazy, cv2.cvtColor(transmission, cv2.COLOR_GRAY2RGB), hazy)
    return cv2.add(hazy, light, hazy)


def darkened(image: np.ndarray, exponent: float, transmission: np.ndarray) -> np.ndarray:
    """The scene with less light where the haze is thick: image ** (1 + (exponent - 1) (1 - t)), float32 (H, W, 3).

    RIDCP darkens the whole frame, from which a network learns to brighten clear photographs. Here a pixel without haze
    keeps its light.
    """
    power = np.float32(exponent) - transmission * np.float32(exponent - 1)
    logarithm = cv2.log(np.maximum(image, np.float32(1e-4)))
    cv2.multiply(logarithm, cv2.cvtColor(power, cv2.COLOR_GRAY2RGB), logarithm)
    return cv2.exp(logarithm)


def _patches(rng: np.random.Generator, size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """The density of smoke against the mean, float32 (H, W), positive."""
    field = smooth_field(rng, size, (0.45, 0.7), 4)
    field += np.float32(params["cover"])
    thick = cv2.pow(np.maximum(field, 0.0, out=field), params["sharpness"])
    np.minimum(thick, np.float32(THICKEST), out=thick)
    thick += np.float32(params["floor"])
    thick *= np.float32(DENSER)
    return thick


def _noise(rng: np.random.Generator, size: tuple[int, int], deviation: float) -> np.ndarray:
    """Noise of a sensor, float32 (H, W, 3), alike at neighbouring pixels of small frames only."""
    tile = rng.standard_normal((min(size[0], _TILE), min(size[1], _TILE), 3), np.float32) * np.float32(deviation)
    repeats = [-(-side // reached) for side, reached in zip(size, tile.shape[:2], strict=True)]
    return np.tile(tile, (*repeats, 1))[: size[0], : size[1]]
