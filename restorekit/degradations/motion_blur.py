"""Motion blur: the scene, or a part of it, moves along a path during the exposure and is averaged in linear light.

"shake": the camera turns and shifts along a random path with inertia (after Boracchi and Foi, TIP 2012); roll makes the
blur vary over the frame. "regions": parts of the photograph, fitted to its edges, move over a sharp background. As in
GoPro (Nah et al., CVPR 2017), the target is the frame in the middle of the exposure. Paths that are long in pixels are
followed on a coarser grid; detail finer than the grid is kept where the scene hardly moves, and lost elsewhere.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from restorekit.degradations.fields import fit_to_edges, smooth_field
from restorekit.degradations.optics import to_light, to_srgb
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform, visible_mask
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["motion_blur"].kinds

# Length of the path, of the short side, over severity 0 to 1. On the sharp frames of six GoPro pairs, whose own input
# PSNR is 23 to 31 dB with a median of 26, severity 0.2, 0.5, 0.8 gives medians of 29, 25, 24 (shake), 32, 30, 28
# (regions) and 29, 26, 24 (mixed).
LENGTH = {"shake": (0.006, 0.055), "regions": (0.02, 0.13)}
ROLL = 0.3  # standard deviation of roll over the exposure: of the shift at half a short side from the centre
_WORK = 25e6  # pixels of a grid times the length of a shake in them: bounds the time
_LONGEST = 10.0  # pixels of a region's path on its grid
_WORTH_IT = 1.25  # a finer factor would lose detail and save little time
_SMALL = 96  # pixels of the short side at which regions are drawn


class MotionBlur:
    """kind "shake" or "regions"; "mixed": one of them, or both. Severity sets the length of the path."""

    name = "motion_blur"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        both = rng.random() < 0.4 and kind == "mixed"
        moves = list(KINDS) if both else [params["kind"]]
        much = uniform(rng, (0.7, 1.3))
        share = 0.7 if both else 1.0
        shake = {
            "length": between(LENGTH["shake"], severity) * much * share,  # of the short side
            "direction": uniform(rng, (0.0, 360.0)),  # degrees
            "curvature": uniform(rng, (0.1, 1.0)),  # 0: straight and even; 1: a wandering hand
            "roll": float(rng.normal(0.0, ROLL)),
            "centre": [
                uniform(rng, (0.2, 0.8)),
                uniform(rng, (0.2, 0.8)),
            ],  # (y, x) of the frame: centre of the roll
            "seed": int(rng.integers(2**32)),
        }
        regions = [
            {
                "length": between(LENGTH["regions"], severity) * uniform(rng, (0.6, 1.2)) * share,
                "direction": float(rng.normal(0.0, 25.0)) + 180.0 * float(rng.random() < 0.5),  # mostly level
                "curvature": uniform(rng, (0.0, 0.4)),
                "roll": float(rng.normal(0.0, ROLL)),
                "centre": [uniform(rng, (0.25, 0.8)), uniform(rng, (0.15, 0.85))],  # of the region and of its roll
                "radii": [uniform(rng, (0.16, 0.38)), uniform(rng, (0.14, 0.34))],  # (y, x), of the short side
                "seed": int(rng.integers(2**32)),
            }
            for _ in range(3)
        ]
        number = int(rng.integers(1, 4))
        return {
            **params,
            "shake": shake if "shake" in moves else None,
            "regions": regions[:number] if "regions" in moves else [],
        }

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        grid = _grid(size, params)
        image = scene.image if grid == size else cv2.resize(scene.image, grid[::-1], interpolation=cv2.INTER_AREA)
        # Four channels, the last one 1: OpenCV warps four in half the time of three, and the fourth becomes alpha.
        light = cv2.cvtColor(to_light(image), cv2.COLOR_RGB2RGBA)
        still = (
            np.ones(grid, np.float32) if grid != size else None
        )  # the share of detail finer than the grid that is kept
        if params["regions"]:
            outlook = _outlook(image, light)
            for region in params["regions"]:
                _move_region(light, _cut_out(outlook, region), region, still)
        if params["shake"]:
            path, centre = path_of(params["shake"], min(grid)), centre_of(params["shake"], grid)
            if still is not None:
                still *= stillness(path, centre, grid)
            light = average_along(light, path, centre, cv2.BORDER_REFLECT_101)
        blurred = to_srgb(cv2.cvtColor(light, cv2.COLOR_RGBA2RGB))
        degraded = blurred if still is None else _with_detail(blurred, scene.image, image, still)
        layer = degraded - scene.image
        return Degraded(degraded, scene.image, layer, visible_mask(layer), None)


def _grid(size: tuple[int, int], params: dict[str, Any]) -> tuple[int, int]:
    """The size at which the paths are followed: the frame's own, or a smaller one where they are long in pixels."""
    factor = max((region["length"] * min(size) / _LONGEST for region in params["regions"]), default=1.0)
    if params["shake"]:
        factor = max(factor, (params["shake"]["length"] * min(size) * size[0] * size[1] / _WORK) ** (1 / 3))
    return size if factor < _WORTH_IT else (max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))


class _Outlook(NamedTuple):
    """The photograph that regions are cut from, at two sizes, and its light at half the smaller one."""

    image: np.ndarray  # float32 (h, w, 3), sRGB
    small: np.ndarray  # the same with a short side of _SMALL pixels at most
    light: np.ndarray  # float32, linear light, at half the size of `small`


class _Region(NamedTuple):
    """alpha: float32 (h, w), the region's; behind: float32 (h, w, 4), the light that appears where it moves away."""

    alpha: np.ndarray
    behind: np.ndarray
    box: tuple[slice, slice]  # rows and columns outside of which alpha is 0


def _outlook(image: np.ndarray, light: np.ndarray) -> _Outlook:
    size = image.shape[:2]
    scale = min(1.0, _SMALL / min(size))
    small_size = (max(1, round(size[1] * scale)), max(1, round(size[0] * scale)))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    half = (max(1, small_size[0] // 2), max(1, small_size[1] // 2))
    return _Outlook(image, small, to_light(cv2.resize(small, half, interpolation=cv2.INTER_AREA)))


def _move_region(light: np.ndarray, region: _Region, move: dict[str, Any], still: np.ndarray | None) -> None:
    """Blurs one region of `light` along its path, over its surroundings; lowers `still` where the blur shows."""
    size = (light.shape[0], light.shape[1])
    rows, columns = region.box
    if rows.start >= rows.stop:
        return
    path = path_of(move, min(size))
    wide = max(rows.stop - rows.start, columns.stop - columns.start)
    reach = int(np.abs(path[:, :2]).max() + 1.5 * np.abs(path[:, 2]).max() * wide) + 3
    top, left = max(0, rows.start - reach), max(0, columns.start - reach)
    box = np.s_[top : rows.stop + reach, left : columns.stop + reach]
    alpha, under = region.alpha[box], light[box]
    y, x = centre_of(move, size)
    fourfold = cv2.merge([alpha] * 4)
    moved = average_along(cv2.multiply(under, fourfold), path, (y - top, x - left), cv2.BORDER_CONSTANT)
    shown = cv2.extractChannel(moved, 3)
    background = cv2.subtract(region.behind[box], under)
    cv2.multiply(background, fourfold, background)
    cv2.add(background, under, background)
    cv2.multiply(background, cv2.merge([1 - shown] * 4), background)
    light[box] = cv2.add(background, moved, moved)
    if still is not None:
        wider = cv2.blur(cv2.dilate(cv2.max(alpha, shown), np.ones((3, 3), np.uint8)), (3, 3))
        still[box] *= 1 - np.minimum(2 * wider, 1.0)


def _cut_out(outlook: _Outlook, region: dict[str, Any]) -> _Region:
    """A region with its outline fitted to the photograph's edges."""
    small_size = (outlook.small.shape[0], outlook.small.shape[1])
    y, x = ((np.arange(side, dtype=np.float32) + 0.5) / min(small_size) for side in small_size)
    y = (y - np.float32(region["centre"][0] * y[-1])) / np.float32(region["radii"][0])
    x = (x - np.float32(region["centre"][1] * x[-1])) / np.float32(region["radii"][1])
    far = np.sqrt(y[:, None] ** 2 + x[None] ** 2)
    far += np.float32(0.18) * smooth_field(rng_for(region["seed"], "outline"), small_size, (0.2, 0.2), 2)
    coarse = np.clip((1 - far) * np.float32(4.0) + np.float32(0.5), 0.0, 1.0)
    alpha = fit_to_edges(outlook.image, outlook.small, coarse)
    alpha *= np.float32(2.0)
    alpha -= np.float32(0.5)
    np.clip(alpha, 0.0, 1.0, out=alpha)
    half = outlook.light.shape[1::-1]
    weight = np.clip(1 - 1.2 * cv2.resize(coarse, half, interpolation=cv2.INTER_AREA), 0.0, 1.0) + np.float32(1e-4)
    around = cv2.multiply(cv2.cvtColor(outlook.light, cv2.COLOR_RGB2RGBA), cv2.merge([weight] * 4))
    around = cv2.GaussianBlur(around, (0, 0), 0.05 * min(half))
    mean = cv2.divide(around, cv2.merge([cv2.extractChannel(around, 3)] * 4))
    behind = cv2.resize(mean, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return _Region(alpha, behind, _box(alpha))


def _box(alpha: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns from the first to the last with values above 0."""
    held = (np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(int(one[0]), int(one[-1]) + 1) if one.size else slice(0, 0) for one in held)
    return rows, columns


def _with_detail(blurred: np.ndarray, image: np.ndarray, small: np.ndarray, still: np.ndarray) -> np.ndarray:
    """The grid's result at the photograph's size, with the finer detail where the scene is still."""
    size = image.shape[1::-1]
    degraded: np.ndarray = cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR)
    if float(still.max()) < 0.02:
        return degraded
    detail: np.ndarray = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    cv2.subtract(image, detail, detail)
    kept: np.ndarray = cv2.resize(cv2.cvtColor(still, cv2.COLOR_GRAY2RGB), size, interpolation=cv2.INTER_LINEAR)
    cv2.multiply(detail, kept, detail)
    return cv2.add(degraded, detail, degraded)


_STEPS = 21  # drawn points of a path, the middle one at rest


def centre_of(move: dict[str, Any], size: tuple[int, ...]) -> tuple[float, float]:
    """(y, x) of the centre of a move's roll, in pixels of a frame of `size`."""
    return move["centre"][0] * size[0] - 0.5, move["centre"][1] * size[1] - 0.5


def path_of(move: dict[str, Any], short: int) -> np.ndarray:
    """The path, float64 (steps, 3): x and y in pixels and roll in radians, all zero in the middle of the exposure."""
    draws = rng_for(move["seed"], "path").normal(size=(3, _STEPS + 2))
    # A hand's tremor with inertia: velocity = 0.85 velocity + draw.
    fading = 0.85 ** np.arange(_STEPS - 1)
    velocity = np.cumsum(draws[:, : _STEPS - 1] / fading, axis=1) * fading
    velocity *= move["curvature"] / np.sqrt(3.0)
    velocity[0] += 1.0
    velocity[2] = 1.0 + 0.5 * velocity[2]
    places = np.concatenate([np.zeros((3, 1)), np.cumsum(velocity, axis=1)], axis=1)
    places -= places[:, _STEPS // 2 : _STEPS // 2 + 1]
    places[:2] /= np.hypot(velocity[0], velocity[1]).sum()
    places[2] /= max(np.abs(velocity[2]).sum(), 1e-6)
    angle = np.radians(move["direction"])
    x = np.cos(angle) * places[0] - np.sin(angle) * places[1]
    y = np.sin(angle) * places[0] + np.cos(angle) * places[1]
    length = move["length"] * short
    path = np.stack([x * length, y * length, places[2] * move["roll"] * move["length"] * 2], axis=1)
    # One step for each pixel of the path hides the steps; each lies in the middle of its share of the exposure.
    count = max(3, 2 * int(np.ceil(length * (1 + abs(move["roll"])) / 2)) + 1)
    at = (np.arange(count) + 0.5) * ((_STEPS - 1) / count)
    return np.stack([np.interp(at, np.arange(_STEPS), column) for column in path.T], axis=1)


def average_along(light: np.ndarray, path: np.ndarray, centre: tuple[float, float], border: int) -> np.ndarray:
    """The mean of `light` over the path, rolled around `centre` (y, x); float32, added in the path's order."""
    cy, cx = centre
    size = light.shape[1::-1]
    total, shown = np.zeros_like(light), np.empty_like(light)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for x, y, roll in path.tolist():
        cos, sin = math.cos(roll), math.sin(roll)
        matrix = np.array([[cos, -sin, cx - cos * cx + sin * cy + x], [sin, cos, cy - sin * cx - cos * cy + y]])
        cv2.warpAffine(light, matrix, size, dst=shown, flags=flags, borderMode=border)
        cv2.add(total, shown, dst=total)
    total *= np.float32(1 / len(path))
    return total


def stillness(path: np.ndarray, centre: tuple[float, float], grid: tuple[int, int]) -> np.ndarray:
    """The share of one-pixel detail that survives, float32 (h, w): 1 at rest, 0 where the path is long."""
    y = np.arange(grid[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.arange(grid[1], dtype=np.float32)[None] - np.float32(centre[1])
    spread = np.zeros(grid, np.float32)
    for axis, lever, sign in ((0, y, -1.0), (1, x, 1.0)):
        shift, roll = path[:, axis], sign * path[:, 2]
        covariance = np.cov(np.stack([shift, roll]), bias=True)
        spread += np.float32(covariance[0, 0]) + lever * np.float32(2 * covariance[0, 1])
        spread += lever * lever * np.float32(covariance[1, 1])
    return cv2.exp(spread * np.float32(-12.0))
