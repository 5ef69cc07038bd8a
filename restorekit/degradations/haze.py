"""Haze by the scattering model I = J t + A (1 - t), t = exp(-beta d), with measured depth or a stated prior.

Source: RESIDE (Li et al., TIP 2019), which draws A from [0.7, 1.0] and beta from [0.4, 1.6] outdoors. Depth is 1 /
disparity where a scene has disparity; elsewhere a prior has a ground plane, a horizon and the sky.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.fields import fit_to_edges, smooth_field
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform, visible_mask
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["haze"].kinds
BETA = (0.4, 1.6)  # over severity 0 to 1


class Haze:
    """kind "uniform": one beta; "varying": beta changes over the frame in wide, flat banks. Severity scales beta."""

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
    # A + t (J - A) saves a product.
    light = np.array([*airlight, 0.0])  # OpenCV takes a scalar of four channels
    hazy = cv2.subtract(image, light)
    cv2.multiply(hazy, cv2.cvtColor(transmission, cv2.COLOR_GRAY2RGB), hazy)
    return cv2.add(hazy, light, hazy)


FAR = 0.7  # depth of far things: with RESIDE's betas, input PSNR is that of its outdoor pairs, 10 to 18 dB
_SMALL = 96  # pixels of the short side at which the sky is found and depth fitted to the photograph


def draw_depth(rng: np.random.Generator) -> dict[str, Any]:
    """The prior's parameters, which a scene with disparity ignores."""
    return {
        "horizon": uniform(rng, (0.25, 0.55)),  # of the height, from the top
        "tilt": uniform(rng, (-0.08, 0.08)),  # change of the horizon over the width, of the height
        "near": uniform(rng, (0.06, 0.15)),  # depth scale of the ground plane
        "relief": uniform(rng, (0.1, 0.25)),  # standard deviation of the logarithm of depth
        "sky": uniform(rng, (1.2, 1.7)),  # depth of the sky
        "seed": int(rng.integers(2**32)),
    }


def scene_depth(scene: Scene, params: dict[str, Any]) -> np.ndarray:
    """Depth, float32 (H, W), positive: about `FAR` for far things, and more only for the sky.

    Measured: 1 / disparity, with the 2nd percentile of the disparity at `FAR`, limited to 1.5 FAR. Prior: a ground
    plane below a horizon, depth FAR above it, smooth variation on both, and the sky, which is bright, even and reaches
    the upper border. A guided filter (He et al., TPAMI 2013) fits the prior to the photograph's edges.
    """
    if scene.disparity is not None and (known := np.isfinite(scene.disparity) & (scene.disparity > 0)).any():
        disparity = _filled(scene.disparity, known)
        return np.minimum(np.float32(FAR * np.percentile(disparity[known], 2)) / disparity, np.float32(1.5 * FAR))
    return _prior(scene.image, params)


def _filled(disparity: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The disparity with holes filled by the smaller (farther) neighbour in their row: stereo hides the background."""
    values = np.where(known, disparity, np.float32(np.median(disparity[known]))).astype(np.float32)
    column = np.arange(values.shape[1])[None]
    left = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    right = np.minimum.accumulate(np.where(known, column, column.size)[:, ::-1], axis=1)[:, ::-1]
    from_left = np.take_along_axis(values, np.maximum(left, 0), 1)
    from_right = np.take_along_axis(values, np.minimum(right, column.size - 1), 1)
    from_left = np.where(left >= 0, from_left, from_right)
    from_right = np.where(right < column.size, from_right, from_left)
    filled = np.minimum(from_left, from_right)  # a row without known values keeps the median
    side = 2 * max(1, min(values.shape) // 150) + 1
    smooth = cv2.blur(filled, (side, side))
    return np.where(known, values, smooth)


def _prior(image: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, _SMALL / min(height, width))
    small_size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = cv2.resize(image, small_size[::-1], interpolation=cv2.INTER_AREA) if scale < 1 else image
    # Distance below the horizon in fractions of the frame's height: positive on the ground.
    below = (np.arange(small_size[0], dtype=np.float32) + 0.5)[:, None] / small_size[0] - params["horizon"]
    across = (np.arange(small_size[1], dtype=np.float32) + 0.5)[None] / small_size[1] - 0.5
    ground = FAR * params["near"] / (np.maximum(below - params["tilt"] * across, 0.0) + params["near"])
    variation = smooth_field(rng_for(params["seed"], "relief"), small_size, (0.35, 0.5), 2)
    depth = ground.astype(np.float32) * np.exp(np.float32(params["relief"]) * variation)
    sky = _sky(small)
    depth += sky * (np.float32(params["sky"]) - depth)
    return np.maximum(fit_to_edges(image, small, depth), np.float32(0.05))


def _sky(small: np.ndarray) -> np.ndarray:
    """Each pixel's likeness to sky, float32 in [0, 1]: bright and even, up to the frame's upper border."""
    brightness = small.max(axis=2)
    mean = cv2.blur(brightness, (5, 5))
    spread = np.sqrt(np.maximum(cv2.blur(brightness * brightness, (5, 5)) - mean * mean, 0.0))
    # Bright relative to the rest: a sky at dusk is darker than many walls at noon.
    dark = np.float32(min(0.25, 0.4 * float(brightness.mean(dtype=np.float64))))
    likeness = np.clip((mean - dark) / (0.8 * dark + 1e-6), 0.0, 1.0) * np.clip(1.5 - spread / 0.06, 0.0, 1.0)
    return np.minimum.accumulate(cv2.blur(likeness, (3, 3)), axis=0)
