"""Motion blur: the scene, or a part of it, moves along a path during the exposure and is averaged in the light.

"shake": the camera shifts along a random path, and in half of the draws it turns, so that the blur varies over the
frame. "kernel": a jerky path, the same all over the frame. "layers": near things move further than far ones, or the
camera follows the near ones. "regions": parts of the photograph, fitted to its edges, move over a sharp background. As
in GoPro (Nah et al., CVPR 2017), the target is the frame in the middle of the exposure. Paths that are long in pixels
are followed on a coarser grid; detail finer than the grid is kept where the scene hardly moves, and lost elsewhere.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np

from restorekit.degradations.fields import fit_to_edges, smooth_field
from restorekit.degradations.response import draw_response, from_exposure, to_exposure
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform, visible_mask
from restorekit.degradations.trajectories import (
    ROLL,
    average_along,
    centre_of,
    draw_camera,
    draw_exposure,
    draw_kernel,
    path_of,
    stillness,
)  # fmt: skip
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["motion_blur"].kinds

# On the sharp frames of six GoPro pairs, whose own input PSNR is 23 to 31 dB with a median of 26, severity 0.2, 0.5,
# 0.8 gives medians of 29, 26, 24 (shake, kernel and layers), 32, 30, 28 (regions) and 28, 25, 24 (mixed).
# Length of the path, of the short side, over severity 0 to 1, before a draw that changes it by half to twice.
LENGTH = {"shake": (0.008, 0.058), "kernel": (0.007, 0.060), "layers": (0.01, 0.08), "regions": (0.014, 0.10)}
MUCH = (-0.7, 0.6)  # of the logarithm of that draw
_WORK = 25e6  # pixels of a grid times the length of a shake in them: bounds the time
_LONGEST = 10.0  # pixels of a region's path on its grid
_WORTH_IT = 1.25  # a finer factor would lose detail and save little time
_SMALL = 96  # pixels of the short side at which regions are drawn


class MotionBlur:
    """kind "shake", "kernel", "layers" or "regions"; "mixed": one of them, or regions before a moving camera.

    Severity sets the length of the path.
    """

    name = "motion_blur"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        both = rng.random() < 0.3 and kind == "mixed"
        camera = params["kind"]
        if camera == "regions" and both:
            camera = "shake"
        share = 0.7 if both else 1.0
        response, exposure = draw_response(rng), draw_exposure(rng)
        moves = {"shake": draw_camera(rng, exposure), "kernel": draw_kernel(rng, exposure)}
        moves["layers"] = draw_camera(rng, exposure)
        layers = _draw_layers(rng)
        if layers["sharp"]:
            moves["layers"]["roll"] = 0.0
        for name, move in moves.items():
            move["length"] = between(LENGTH[name], severity) * float(np.exp(uniform(rng, MUCH))) * share
        much = float(np.exp(uniform(rng, MUCH)))
        number = int(rng.integers(1, 6))
        regions = [_draw_region(rng, exposure, min(1.0, 1.4 / number**0.5)) for _ in range(5)]
        for region in regions:
            region["length"] = between(LENGTH["regions"], severity) * much * uniform(rng, (0.5, 1.2)) * share
        return {
            **params,
            **response,
            "shake": moves.get(camera),
            "layers": layers if camera == "layers" else None,
            "regions": regions[:number] if params["kind"] == "regions" or both else [],
        }

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        grid = _grid(size, params)
        image = scene.image if grid == size else cv2.resize(scene.image, grid[::-1], interpolation=cv2.INTER_AREA)
        # Four channels, the last one 1: OpenCV warps four in half the time of three, and the fourth becomes alpha.
        light = cv2.cvtColor(to_exposure(image, params), cv2.COLOR_RGB2RGBA)
        light[..., 3] = 1.0
        still = (
            np.ones(grid, np.float32) if grid != size else None
        )  # the share of detail finer than the grid that is kept
        if params["regions"] or params["layers"]:
            outlook = _outlook(image, light)
        for region in params["regions"]:
            _move_region(light, _cut_out(outlook, region), region, still)
        if params["layers"]:
            light, still = _move_layers(light, _near(outlook, params["layers"]), params, still)
        elif params["shake"]:
            path, centre = path_of(params["shake"], min(grid)), centre_of(params["shake"], grid)
            if still is not None:
                still *= stillness(path, centre, grid)
            light = average_along(light, path, centre, cv2.BORDER_REFLECT_101)
        blurred = from_exposure(cv2.cvtColor(light, cv2.COLOR_RGBA2RGB), params)
        degraded = blurred if still is None else _with_detail(blurred, scene.image, image, still)
        layer = degraded - scene.image
        return Degraded(degraded, scene.image, layer, visible_mask(layer), None)


def _draw_region(rng: np.random.Generator, exposure: dict[str, Any], large: float) -> dict[str, Any]:
    """A moving part of the photograph, but for the length of its path; most move level. `large` shrinks it, up to 1."""
    level = rng.random() < 0.6
    direction = float(rng.normal(0.0, 25.0)) + 180.0 * float(rng.random() < 0.5)
    anywhere = uniform(rng, (0.0, 360.0))
    return {
        "direction": direction if level else anywhere,
        "curvature": uniform(rng, (0.0, 0.6)),
        "jerks": 0.0,
        "roll": float(rng.normal(0.0, 1.5 * ROLL)),
        "centre": [uniform(rng, (0.15, 0.9)), uniform(rng, (0.1, 0.9))],  # of the region and of its roll
        "radii": [large * uniform(rng, (0.1, 0.42)), large * uniform(rng, (0.1, 0.42))],  # (y, x), of the short side
        **exposure,
        "seed": int(rng.integers(2**32)),
    }


def _draw_layers(rng: np.random.Generator) -> dict[str, Any]:
    """Depths of a scene without a depth map: nearer downwards and in smooth bumps that follow the edges."""
    sharp, follows = bool(rng.random() < 0.35), bool(rng.random() < 0.25)
    slowest = uniform(rng, (0.1, 0.7))
    return {
        "sharp": sharp,  # the layer that moves least stands still
        "follows": follows,  # the camera follows the near things, and the far ones move
        "slowest": 0.0 if sharp else slowest,  # speed of that layer, of the fastest one's
        "number": int(rng.integers(2, 5)),
        "slope": uniform(rng, (0.0, 3.0)),  # nearness over the frame's height, against the bumps' deviation of 1
        "cell": uniform(rng, (0.2, 0.6)),  # a bump's size, of the short side
        "seed": int(rng.integers(2**32)),
    }


def _grid(size: tuple[int, int], params: dict[str, Any]) -> tuple[int, int]:
    """The size at which the paths are followed: the frame's own, or a smaller one where they are long in pixels."""
    factor = max((region["length"] * min(size) / _LONGEST for region in params["regions"]), default=1.0)
    if params["shake"]:
        passes = 0.6 * params["layers"]["number"] if params["layers"] else 1.0
        factor = max(factor, (passes * params["shake"]["length"] * min(size) * size[0] * size[1] / _WORK) ** (1 / 3))
    return size if factor < _WORTH_IT else (max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))


def _near(outlook: "_Outlook", layers: dict[str, Any]) -> list[np.ndarray]:
    """The alpha of all that is nearer than each limit between two layers, float32 (h, w), from far to near."""
    size = (outlook.small.shape[0], outlook.small.shape[1])
    near = smooth_field(rng_for(layers["seed"], "depth"), size, (layers["cell"], layers["cell"]), 2)
    near += np.float32(layers["slope"]) * np.linspace(-0.5, 0.5, size[0], dtype=np.float32)[:, None]
    found = []
    for number in range(1, layers["number"]):
        limit = np.quantile(near, number / layers["number"])
        coarse = np.clip((near - np.float32(limit)) * np.float32(2.0) + np.float32(0.5), 0.0, 1.0)
        found.append(np.clip(2 * fit_to_edges(outlook.image, outlook.small, coarse) - np.float32(0.5), 0.0, 1.0))
    return found


def _move_layers(
    light: np.ndarray, near: list[np.ndarray], params: dict[str, Any], still: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The blurred light of layers that move at different speeds, each over the farther ones, and what stands still."""
    move, layers, grid = params["shake"], params["layers"], (light.shape[0], light.shape[1])
    path, centre = path_of(move, min(grid)), centre_of(move, grid)
    speeds = np.linspace(layers["slowest"], 1.0, layers["number"])
    if layers["follows"]:
        speeds = speeds[::-1]
    paths = [path * (speed, speed, 1.0) for speed in speeds]
    blurred = average_along(light, paths[0], centre, cv2.BORDER_REFLECT_101)
    kept = None if still is None else stillness(paths[0], centre, grid)
    for alpha, way in zip(near, paths[1:], strict=True):
        moved = average_along(cv2.multiply(light, cv2.merge([alpha] * 4)), way, centre, cv2.BORDER_REFLECT_101)
        shown = cv2.extractChannel(moved, 3)
        blurred = cv2.add(cv2.multiply(blurred, cv2.merge([1 - shown] * 4)), moved)
        if kept is not None:
            kept *= 1 - np.minimum(2 * cv2.max(alpha, shown), 1.0)
            kept += alpha * np.minimum(shown, 1.0) * stillness(way, centre, grid)
    return blurred, None if kept is None or still is None else still * kept


class _Outlook(NamedTuple):
    """The photograph that regions are cut from, at two sizes, and its light at half the smaller one."""

    image: np.ndarray  # float32 (h, w, 3), sRGB
    small: np.ndarray  # the same with a short side of _SMALL pixels at most
    light: np.ndarray  # float32 (h, w, 3), the exposure's light, at half the size of `small`


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
    shrunk = cv2.resize(light, half, interpolation=cv2.INTER_AREA) if half != image.shape[1::-1] else light
    return _Outlook(image, small, cv2.cvtColor(shrunk, cv2.COLOR_RGBA2RGB))


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
