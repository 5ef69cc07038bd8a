"""Raindrops on the glass before the lens: each one a small lens that shows the scene upside down, out of focus.

sRGB counts as the square root of light. With alpha the share of a pixel's light that comes through a drop, light =
(1 - alpha) J^2 + alpha R^2, and the photograph is its square root. A drop refracts R, a wide and inverted view of the
photograph (Roser and Geiger, ICCV-W 2009; You et al., TPAMI 2016). The camera is focused on the scene, so that the
whole layer of drops is blurred; its grid is no finer than that blur needs.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform, visible_mask
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["raindrop"].kinds

# Median input PSNR at severity 0.2, 0.5, 0.8 on 24 photographs of BSDS: 25, 23, 22 dB (soft) and 27, 24, 23 (crisp).
# Two pairs of RainDrop have 19 and 20.
DENSITY = {"soft": (14.0, 90.0), "crisp": (60.0, 330.0)}  # drops on a square of the short side, over severity 0 to 1
RADIUS = {"soft": (0.019, 0.030), "crisp": (0.0075, 0.0125)}  # the median drop's, of the short side
DEFOCUS = {"soft": (0.007, 0.018), "crisp": (0.0020, 0.0038)}  # standard deviation of the blur, of the short side
SPREAD = 0.45  # standard deviation of the logarithm of the radius: many small drops, few large ones
LARGEST = 0.08  # radius, of the short side
COVERED = 0.1  # least alpha of a pixel of the mask, even if the pixel hardly changes
_FINE = 2.2  # standard deviation of the blur on the grid, pixels
_GRID = 1080  # pixels of the grid's short side at most
_ROW = 4096
_SCENE = 72  # pixels of the short side of the view through the drops


class Raindrop:
    """kind "soft": few drops far out of focus, near RainDrop's; "crisp": many small drops with visible refraction."""

    name = "raindrop"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        much = uniform(rng, (0.85, 1.15))
        radius, defocus = float(rng.random()), float(rng.random())
        return {
            **params,
            "density": between(DENSITY[params["kind"]], severity) * much,  # on a square of the short side
            "radius": between(RADIUS[params["kind"]], radius),  # median, of the short side
            "defocus": between(DEFOCUS[params["kind"]], defocus),
            "view": uniform(rng, (0.55, 0.85)),  # distance from a drop to the view of its rim, in short sides
            "centred": uniform(rng, (0.25, 0.6)),  # shift of a drop's view from its place to the frame's middle
            "wobble": uniform(rng, (0.04, 0.12)),  # irregularity of the outlines
            "sag": uniform(rng, (0.05, 0.22)),  # excess of the lower half
            "gain": uniform(rng, (1.0, 1.6)),  # of the refracted light: drops gather light from above the frame too
            "pale": uniform(rng, (0.05, 0.35)),  # share of the light that comes from all around, without colour
            "rim": uniform(rng, (0.25, 0.7)),  # darkness of the outline, which reflects light back
        }

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        layer = _layer(scene.image, params)
        if layer is None:
            nothing = np.zeros(size, np.float32)
            return Degraded(scene.image.copy(), scene.image, np.zeros_like(scene.image), nothing, None)
        alpha, refracted = (
            cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR)
            for part in (cv2.extractChannel(layer, 3), cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB))
        )
        light = cv2.cvtColor(1 - alpha, cv2.COLOR_GRAY2RGB)
        cv2.multiply(light, scene.image, light)
        cv2.multiply(light, scene.image, light)
        cv2.add(light, refracted, light)
        degraded = cv2.sqrt(light, light)  # without a drop, the root of an exact square: the photograph's own bits
        change = cv2.subtract(degraded, scene.image, refracted)
        mask = cv2.max((alpha > COVERED).astype(np.float32), visible_mask(change))
        return Degraded(degraded, scene.image, change, mask, None)


class _Drops(NamedTuple):
    """One entry a drop, float32 (N,): pixels of the grid."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    outline: np.ndarray  # (N, 5): coefficients of cos and sin of 2 and 3 angles, and the sag


def _layer(image: np.ndarray, params: dict[str, Any]) -> np.ndarray | None:
    """alpha R^2 and alpha, float32 (h, w, 4), on the grid and out of focus; None without drops."""
    short = min(image.shape[:2])
    factor = max(0.75, short / _GRID, params["defocus"] * short / _FINE)
    grid = (max(1, round(image.shape[0] / factor)), max(1, round(image.shape[1] / factor)))
    drops = _scatter(params, image.shape[:2], short / factor)
    where, place, within = _cover(drops, grid)
    if not where.size:
        return None
    layer = np.zeros((grid[0] * grid[1], 4), np.float32)
    seen = cv2.cvtColor(_refract(image, drops, place, within, short / factor, params)[None], cv2.COLOR_RGB2RGBA)[0]
    seen *= within[3, :, None]
    layer.view(np.complex128)[where] = seen.view(np.complex128)  # four values as one
    layer = layer.reshape(*grid, 4)
    sigma = float(np.hypot(params["defocus"] * short / factor, 0.4))
    side = 2 * math.ceil(3 * sigma) + 1
    return cv2.GaussianBlur(layer, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)


def _scatter(params: dict[str, Any], size: tuple[int, ...], unit: float) -> _Drops:
    """The drops, small ones first; a greater density adds drops and moves none. `unit`: pixels of a short side."""
    short = min(size)
    margin = LARGEST
    height, width = size[0] / short + 2 * margin, size[1] / short + 2 * margin
    number = round(params["density"] * height * width)
    draws = rng_for(params["seed"], "drops").random((number, 7))
    radius = np.exp(SPREAD * rng_for(params["seed"], "radii").normal(size=number))
    radius = np.minimum(params["radius"] * radius, LARGEST)
    # Large drops are long and sag; surface tension keeps small ones round.
    large = np.clip(radius / 0.03, 0.25, 1.0)
    outline = (draws[:, 2:6] - 0.5) * (2 * params["wobble"] * large)[:, None]
    outline[:, 0] -= 0.5 * params["sag"] * large
    sag = params["sag"] * large * (0.4 + 0.6 * draws[:, 6])
    order = np.argsort(radius, kind="stable")
    columns = (draws[:, 0] * width - margin, draws[:, 1] * height - margin, radius)
    x, y, radius = ((column[order] * unit).astype(np.float32) for column in columns)
    return _Drops(x - 0.5, y - 0.5, radius, np.column_stack([outline, sag])[order].astype(np.float32))


def _cover(drops: _Drops, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of the grid within drops: flat places, the drop of each, and x, y, distance and alpha, float32 (4, N).

    x, y and distance are relative to the drop's centre, in parts of the outline's distance. Where drops overlap, the
    largest drop has the pixel.
    """
    reach = drops.radius * (1 + np.abs(drops.outline).sum(axis=1)) + np.float32(0.5)
    # The rows of every drop's circle, then the pixels of every row; repeat is faster than indexing.
    first, count = _span(drops.y, reach, grid[0])
    drop = np.repeat(np.arange(count.size), count)
    row = _each(first, count)
    y = row.astype(np.float32) - drops.y[drop]
    first, count = _span(drops.x[drop], np.sqrt(np.maximum(reach[drop] ** 2 - y * y, 0)), grid[1])
    column = _each(first, count)
    where = column + np.repeat(row * grid[1], count)
    x = column.astype(np.float32) - np.repeat(drops.x[drop], count)
    y = np.repeat(y, count)
    far = np.sqrt(x * x + y * y) + np.float32(1e-6)
    cos, sin = x / far, y / far
    cos2 = cos * cos - sin * sin
    sin2 = 2 * cos * sin
    cos3, sin3 = cos2 * cos - sin2 * sin, sin2 * cos + cos2 * sin
    outline = np.ones_like(far)
    for part, wave in zip(drops.outline.T, (cos2, sin2, cos3, sin3, sin), strict=True):
        wave *= np.repeat(part[drop], count)
        outline += wave
    outline *= np.repeat(drops.radius[drop], count)
    alpha = np.clip(outline - far + np.float32(0.5), 0, 1)
    kept = np.flatnonzero(alpha)
    drop = np.repeat(drop, count)
    # The last drop on a pixel keeps it, because numpy assigns in the order of the indices.
    owner = np.empty(grid[0] * grid[1], np.intp)
    place, claim = where.take(kept), drop.take(kept)
    owner[place] = claim
    kept = kept[owner.take(place) == claim]
    outline = outline.take(kept)
    within = [x.take(kept) / outline, y.take(kept) / outline, far.take(kept) / outline, alpha.take(kept)]
    return where.take(kept), drop.take(kept), np.array(within)


def _span(centre: np.ndarray, reach: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first pixel within reach of each centre, and the number of such pixels, int (N,)."""
    first = np.clip(np.ceil(centre - reach), 0, side).astype(np.intp)
    last = np.clip(np.floor(centre + reach), -1, side - 1).astype(np.intp)
    return first, np.maximum(last - first + 1, 0)


def _each(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The spans of `count` integers that begin at every `first`, joined."""
    before = np.cumsum(count) - count
    return np.arange(int(count.sum())) + np.repeat(first - before, count)


def _refract(
    image: np.ndarray, drops: _Drops, drop: np.ndarray, within: np.ndarray, unit: float, params: dict[str, Any]
) -> np.ndarray:
    """The light R^2 that comes through each pixel of a drop, float32 (N, 3)."""
    scale = min(1.0, _SCENE / min(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    small = small * small
    # A drop is flat in the middle and steep at the rim, so that it bends rays more near its outline.
    bent = np.float32(-params["view"] * min(size)) * (np.float32(0.55) + np.float32(0.45) * within[2] ** 2)
    at = []
    for axis, centre, side in ((0, drops.x, size[0]), (1, drops.y, size[1])):
        middle = (centre + np.float32(0.5)) * np.float32(min(size) / unit)
        middle += np.float32(params["centred"]) * (np.float32(side / 2) - middle)
        at.append(middle[drop] + bent * within[axis] - np.float32(0.5))
    # In rows, because OpenCV remaps to fewer than 32768 pixels a side.
    rows = (-(-drop.size // _ROW), _ROW)
    table = [np.resize(axis, rows).astype(np.float32) for axis in at]
    seen: np.ndarray = cv2.remap(small, table[0], table[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    seen = seen.reshape(-1, 3)[: drop.size]
    around = float(small.mean(dtype=np.float64)) * 1.4  # a drop gathers light from half a sphere, more of it sky
    seen += np.float32(params["pale"]) * (np.float32(around) - seen)
    edge = np.minimum(within[2], 1) ** 2
    shade = np.float32(params["gain"]) * (1 - np.float32(params["rim"]) * edge * edge * edge)
    seen *= shade[:, None]
    # A drop adds no light: its pixels are no brighter than the bright parts of the scene.
    bright = np.sort(small[::3, ::3].reshape(-1, 3), axis=0)
    return np.minimum(seen, bright[int(0.97 * len(bright))], out=seen)
