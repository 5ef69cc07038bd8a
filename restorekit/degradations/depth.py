"""Depth of a scene: measured, or a prior that fits the photograph, or one that on purpose belongs to another scene.

Depth that always agrees with the photograph lets a network read haze from what it sees there instead of from the haze;
depth shuffled between photographs generalises better (arXiv 2401.07213). So a share of the layouts are those of another
place: the photograph's mirror image, a corridor or a room, a tilted plane, smooth blocks.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.fields import fit_to_edges, smooth_field
from restorekit.degradations.scene import Scene, uniform
from restorekit.rng import rng_for

FAR = 0.7  # depth of far things: with RESIDE's betas, input PSNR is that of its outdoor pairs, 10 to 18 dB
# Layout: its share. "photograph" and "mirror" have a ground, a horizon and the sky; the others have no sky.
LAYOUTS = {"photograph": 0.5, "mirror": 0.1, "corridor": 0.2, "plane": 0.1, "blocks": 0.1}
WHITE_SKY = 0.65  # share of the skies that lie far behind all else; the others are as near as a hill
_SMALL = 96  # pixels of the short side at which the sky is found and depth fitted to the photograph
_NEAREST = 0.05


def draw_depth(rng: np.random.Generator) -> dict[str, Any]:
    """The parameters of a prior that belongs to the photograph; a scene with disparity ignores them."""
    return {
        "layout": "photograph",
        "horizon": uniform(rng, (0.25, 0.55)),  # of the height, from the top
        "tilt": uniform(rng, (-0.08, 0.08)),  # change of the horizon over the width, of the height
        "near": uniform(rng, (0.06, 0.15)),  # depth scale of the ground plane
        "relief": uniform(rng, (0.1, 0.25)),  # standard deviation of the logarithm of depth
        "sky": uniform(rng, (1.2, 1.7)),  # depth of the sky
        "fitted": True,  # whether the depth follows the photograph's edges
        "seed": int(rng.integers(2**32)),
    }


def draw_layout(rng: np.random.Generator) -> dict[str, Any]:
    """The parameters of a prior with one of the `LAYOUTS`; a scene with disparity ignores them."""
    params = draw_depth(rng)
    low_sky, white = uniform(rng, (0.4, 1.0)), rng.random() < WHITE_SKY
    layout = str(rng.choice(list(LAYOUTS), p=list(LAYOUTS.values())))
    fitted, reach = bool(rng.random() < 0.5), uniform(rng, (np.log(0.25), np.log(1.2)))
    wide = {
        "point": [uniform(rng, (0.25, 0.7)), uniform(rng, (0.2, 0.8))],  # vanishing point (y, x), of the sides
        "turn": uniform(rng, (0.0, 2 * np.pi)),  # direction in which a plane recedes
        "reach": float(np.exp(reach)),  # a corridor's or a plane's near depth against its change
    }
    belongs = layout in ("photograph", "mirror")
    sky = params["sky"] if white else low_sky
    return {**params, "layout": layout, "sky": sky, "fitted": fitted or belongs, **({} if belongs else wide)}


def scene_depth(scene: Scene, params: dict[str, Any]) -> np.ndarray:
    """Depth, float32 (H, W), positive: about `FAR` for far things, and more only for the sky.

    Measured: 1 / disparity, with the 2nd percentile of the disparity at `FAR`, limited to 1.5 FAR. Prior: a ground
    plane below a horizon, depth FAR above it, smooth variation on both, and the sky, which is bright, even and reaches
    the upper border; or another layout. A guided filter (He et al., TPAMI 2013) fits it to the photograph's edges.
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
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA) if scale < 1 else image
    layout = params["layout"]
    if layout == "mirror":
        small = np.ascontiguousarray(small[:, ::-1])
    if layout in ("photograph", "mirror"):
        depth = _outdoors(small, size, params)
    else:
        make = {"corridor": _corridor, "plane": _plane, "blocks": _blocks}[layout]
        depth = make(size, params) * _relief(size, params)
    if layout == "mirror":  # the edges of the mirror image, across those of the photograph
        depth = _enlarged(fit_to_edges(small, small, depth), (height, width))
    elif params["fitted"]:
        depth = fit_to_edges(image, small, depth)
    else:
        depth = _enlarged(depth, (height, width))
    return np.maximum(depth, np.float32(_NEAREST))


def _enlarged(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(depth, size[::-1], interpolation=cv2.INTER_LINEAR) if depth.shape != size else depth


def _relief(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    variation = smooth_field(rng_for(params["seed"], "relief"), size, (0.35, 0.5), 2)
    return np.asarray(np.exp(np.float32(params["relief"]) * variation))


def _outdoors(small: np.ndarray, size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """A ground plane up to the horizon, far things above it, and the sky."""
    # Distance below the horizon in fractions of the frame's height: positive on the ground.
    below = _centres(size[0])[:, None] - params["horizon"]
    across = _centres(size[1])[None] - 0.5
    ground = FAR * params["near"] / (np.maximum(below - params["tilt"] * across, 0.0) + params["near"])
    depth = ground.astype(np.float32) * _relief(size, params)
    sky = _sky(small)
    depth += sky * (np.float32(params["sky"]) - depth)
    return np.asarray(depth)


def _corridor(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """Walls, floor and ceiling that run to a vanishing point; with a small `reach`, long ones."""
    (y, x), reach = params["point"], params["reach"]
    down, across = _centres(size[0])[:, None] - y, _centres(size[1])[None] - x
    # 0 at the vanishing point, 1 on the frame's border.
    outward = np.maximum(np.maximum(down / (1 - y), -down / y), np.maximum(across / (1 - x), -across / x))
    return np.asarray((FAR * reach / (outward + reach)).astype(np.float32) * np.float32((0.3 + reach) / reach))


def _plane(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """A plane that recedes in one direction: a wall at an angle, the ground from above."""
    down, across = (_centres(side) - 0.5 for side in size)
    along = down[:, None] * np.sin(params["turn"]) + across[None] * np.cos(params["turn"])
    nearness = (along - along.min()) / max(1e-6, float(along.max() - along.min()))
    return np.asarray((FAR * (0.3 + params["reach"]) / (nearness + params["reach"])).astype(np.float32))


def _blocks(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """Smooth shapes, each at a depth of its own, one before the other."""
    field = smooth_field(rng_for(params["seed"], "blocks"), size, (0.5, 0.6), 2)
    steps = np.floor(2 * field)
    edge = np.clip((2 * field - steps - 0.6) / 0.4, 0.0, 1.0)  # steep, but no cliff of a single pixel
    return np.asarray((FAR * np.exp(0.3 * np.clip(steps + edge, -3.5, 1.5))).astype(np.float32))


def _centres(samples: int) -> np.ndarray:
    """The centres of `samples` equal parts of [0, 1], float32."""
    return (np.arange(samples, dtype=np.float32) + 0.5) / samples


def _sky(small: np.ndarray) -> np.ndarray:
    """Each pixel's likeness to sky, float32 in [0, 1]: bright and even, up to the frame's upper border."""
    brightness = small.max(axis=2)
    mean = cv2.blur(brightness, (5, 5))
    spread = np.sqrt(np.maximum(cv2.blur(brightness * brightness, (5, 5)) - mean * mean, 0.0))
    # Bright relative to the rest: a sky at dusk is darker than many walls at noon.
    dark = np.float32(min(0.25, 0.4 * float(brightness.mean(dtype=np.float64))))
    likeness = np.clip((mean - dark) / (0.8 * dark + 1e-6), 0.0, 1.0) * np.clip(1.5 - spread / 0.06, 0.0, 1.0)
    return np.minimum.accumulate(cv2.blur(likeness, (3, 3)), axis=0)
