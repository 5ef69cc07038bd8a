"""Raindrops on the glass before the lens: each one a small lens that shows the scene upside down.

sRGB counts as the square root of light. With alpha the share of a pixel's light that comes through a drop, light =
(1 - alpha) J^2 + alpha R^2, and the photograph is its square root. A drop refracts R, a wide and inverted view of the
photograph (Roser and Geiger, ICCV-W 2009; You et al., TPAMI 2016). A camera that is focused on the scene blurs the
whole layer of drops, by a disc or by a bell; one that is focused on the glass shows sharp drops, before a scene that
`train.out_of_focus` has blurred. The layer's grid is no finer than the blur needs.
"""

import math
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.drops import Water, cover, scatter
from restorekit.degradations.optics import disc
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform, visible_mask
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["raindrop"].kinds

# Median input PSNR at severity 0.2, 0.5, 0.8 on 24 photographs of BSDS: 26, 24, 23 dB (soft), 28, 25, 24 (crisp), 28,
# 25, 24 (beads) and 28, 26, 24 (running). Two pairs of RainDrop have 19 and 20.
# Drops on a square of the short side, over severity 0 to 1, for a draw that leaves the size as it is.
DENSITY = {"soft": (19.0, 96.0), "crisp": (85.0, 460.0), "beads": (46.0, 255.0), "running": (22.0, 100.0)}
RADIUS = {"soft": 0.024, "crisp": 0.010, "beads": 0.011, "running": 0.014}  # the median drop's, of the short side
SIZE = {"soft": (0.5, 3.0), "crisp": (0.5, 2.0), "beads": (0.4, 6.0), "running": (0.5, 3.0)}  # a draw's factor of it
DEFOCUS = {  # standard deviation of the blur, of the short side
    "soft": (0.005, 0.022), "crisp": (0.0016, 0.0045), "beads": (0.0001, 0.0012), "running": (0.0003, 0.012),
}  # fmt: skip
GROWTH = (0.95, 1.05)  # of the radius, over severity 0 to 1
TRAILS = (3.0, 16.0)  # on a frame as wide as it is high, over severity 0 to 1
LAMPS = (  # colours of light: warm white, sodium, white, cold white, red, green
    (1.0, 0.75, 0.45), (1.0, 0.6, 0.2), (1.0, 0.95, 0.85), (0.8, 0.9, 1.0), (1.0, 0.1, 0.06), (0.15, 1.0, 0.5),
)  # fmt: skip
COVERED = 0.1  # least alpha of a pixel of the mask, even if the pixel hardly changes
_FINE = 2.2  # standard deviation of the blur on the grid, pixels
_GRID = 1080  # pixels of the grid's short side at most
_ROW = 4096
_SCENE = (60, 200)  # pixels of the short side of the view through small and large drops


class Raindrop:
    """kind "soft": few drops far out of focus; "crisp": many small drops, nearly in focus; "beads": drops in focus,
    tiny to huge; "running": drops that merge and run down, and the trails that they leave.
    """

    name = "raindrop"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        kind = params["kind"]
        much = uniform(rng, (0.85, 1.15))
        larger = math.exp(between((math.log(SIZE[kind][0]), math.log(SIZE[kind][1])), float(rng.random())))
        defocus = math.exp(between((math.log(DEFOCUS[kind][0]), math.log(DEFOCUS[kind][1])), float(rng.random())))
        part, faint, opacity = _draw_part(rng), rng.random() < 0.3, uniform(rng, (0.35, 0.95))
        gathers, gathered = rng.random() < 0.6, uniform(rng, (0.05, 0.6))
        pale, paler = uniform(rng, (0.0, 0.35)), uniform(rng, (0.0, 0.5))
        trails = _draw_trails(rng)
        trails["density"] = between(TRAILS, severity) * much
        night, lamps = rng.random() < 0.25, int(rng.integers(2, 16))
        return {
            **params,
            "density": between(DENSITY[kind], severity) * much * larger**-1.6 * (1.5 if part else 1.0),
            "radius": RADIUS[kind] * larger * between(GROWTH, severity),  # median, of the short side
            "margin": 3 * RADIUS[kind] * larger,  # beyond the frame, with drops whose rims reach into it
            "spread": uniform(rng, (0.25, 0.65)),  # deviation of the log of the radius: many small drops, few large
            "defocus": defocus,
            "disc": bool(rng.random() < 0.5),  # the aperture's shape in the blur; else a bell
            "part": part,
            "gathered": gathered if gathers else 0.0,  # share of the drops that touch another
            "trails": trails if kind == "running" else None,
            "view": uniform(rng, (0.25, 0.9)),  # distance from a drop to the view of its rim, in short sides
            "centred": uniform(rng, (0.1, 0.6)),  # shift of a drop's view from its place to the frame's middle
            "wobble": uniform(rng, (0.02, 0.25)),  # irregularity of the outlines
            "sag": uniform(rng, (0.0, 0.3)),  # excess of the lower half
            "gain": uniform(rng, (0.8, 1.7)),  # of the refracted light: drops gather light from above the frame too
            "pale": pale + paler * float(rng.random() < 0.3),  # share of the light from all around, without colour
            "sky": uniform(rng, (0.0, 1.0)),  # how much of that light is the frame's bright upper part
            "rim": uniform(rng, (0.1, 0.85)),  # darkness of the outline, which reflects light back
            "opacity": opacity if faint else 1.0,
            "lamps": lamps if night else 0,  # lamps that the drops show, most of them outside of the frame
            "lamp_light": float(np.exp(uniform(rng, (0.0, 2.5)))),  # in multiples of white
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


def _draw_part(rng: np.random.Generator) -> dict[str, Any] | None:
    """In a third of the draws, the side of a wavy line that is wet; lengths in short sides from the frame's middle."""
    part = {
        "direction": uniform(rng, (0.0, 360.0)),
        "begins": uniform(rng, (-0.35, 0.2)),
        "soft": uniform(rng, (0.05, 0.6)),
        "phase": float(rng.random()),
    }
    return part if rng.random() < 0.35 else None


def _draw_trails(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "width": math.exp(uniform(rng, (math.log(0.005), math.log(0.022)))),  # of the short side: the drop's radius
        "length": uniform(rng, (0.15, 0.8)),
        "drift": uniform(rng, (0.0, 1.0)),  # 0: straight down
        "torn": uniform(rng, (0.0, 0.8)),  # share of the trail that has dried
        "seed": int(rng.integers(2**32)),
    }


def _layer(image: np.ndarray, params: dict[str, Any]) -> np.ndarray | None:
    """alpha R^2 and alpha, float32 (h, w, 4), on the grid and out of focus; None without drops."""
    short = min(image.shape[:2])
    factor = max(0.75, short / _GRID, params["defocus"] * short / _FINE)
    grid = (max(1, round(image.shape[0] / factor)), max(1, round(image.shape[1] / factor)))
    water = cover(scatter(params, image.shape[:2], short / factor), grid)
    if not water.where.size:
        return None
    layer = np.zeros((grid[0] * grid[1], 4), np.float32)
    seen = cv2.cvtColor(_refract(image, water, short / factor, params)[None], cv2.COLOR_RGB2RGBA)[0]
    seen[:, 3] = 1.0
    seen *= (water.alpha * np.float32(params["opacity"]))[:, None]
    layer.view(np.complex128)[water.where] = seen.view(np.complex128)  # four values as one
    layer = layer.reshape(*grid, 4)
    sigma = float(np.hypot(params["defocus"] * short / factor, 0.4))
    if params["disc"]:
        return np.asarray(cv2.filter2D(layer, -1, disc(2 * sigma), borderType=cv2.BORDER_REFLECT_101))
    side = 2 * math.ceil(3 * sigma) + 1
    return cv2.GaussianBlur(layer, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)


def _refract(image: np.ndarray, water: Water, unit: float, params: dict[str, Any]) -> np.ndarray:
    """The light R^2 that comes through each pixel of the water, float32 (N, 3)."""
    detail = float(np.clip(72 * params["radius"] / 0.015, *_SCENE))
    scale = min(1.0, detail / min(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    small = small * small
    # A drop is flat in the middle and steep at the rim, so that it bends rays more near its outline.
    bent = np.float32(-params["view"] * min(size)) * (np.float32(0.55) + np.float32(0.45) * water.far**2)
    at = []
    for place, centre, side in ((water.right, water.x, size[0]), (water.down, water.y, size[1])):
        middle = (centre + np.float32(0.5)) * np.float32(min(size) / unit)
        middle += np.float32(params["centred"]) * (np.float32(side / 2) - middle)
        at.append(middle + bent * place - np.float32(0.5))
    # In rows, because OpenCV remaps to fewer than 32768 pixels a side.
    rows = (-(-water.where.size // _ROW), _ROW)
    table = [np.resize(axis, rows).astype(np.float32) for axis in at]

    def through(view: np.ndarray, border: int) -> np.ndarray:
        seen: np.ndarray = cv2.remap(view, table[0], table[1], cv2.INTER_LINEAR, borderMode=border)
        return seen.reshape(-1, 3)[: water.where.size]

    seen = through(small, cv2.BORDER_REFLECT_101)
    around = _around(small, params["sky"])
    seen += np.float32(params["pale"]) * (around - seen)
    edge = np.minimum(water.far, 1) ** 2
    shade = (1 - np.float32(params["rim"]) * edge * edge * edge)[:, None]
    seen *= shade * np.float32(params["gain"])
    # A drop adds no light: its pixels are no brighter than the bright parts of the scene, but for lamps.
    bright = np.sort(small[::3, ::3].reshape(-1, 3), axis=0)
    np.minimum(seen, bright[int(0.97 * len(bright))], out=seen)
    if params["lamps"]:
        seen += through(_lamps(params, size), cv2.BORDER_CONSTANT) * shade
    return seen


def _around(small: np.ndarray, sky: float) -> np.float32:
    """The grey light that a drop gathers from half a sphere, float32: of the mean frame, or of its upper part."""
    mean = float(small.mean(dtype=np.float64)) * 1.4
    above = float(np.quantile(small[: max(1, len(small) // 2)].mean(axis=2), 0.8))
    return np.float32(mean + sky * (max(mean, above) - mean))


def _lamps(params: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The light of lamps behind the glass, float32 (h, w, 3), for `size` (w, h)."""
    draws = rng_for(params["seed"], "lamps").random((params["lamps"], 5))
    light = np.zeros((size[1], size[0], 3), np.float32)
    down, right = (np.arange(side, dtype=np.float32) + np.float32(0.5) for side in size[::-1])
    for x, y, colour, strength, radius in draws.tolist():
        spread = (0.008 + 0.03 * radius**2) * min(size)
        blob = np.outer(*(np.exp(-(((axis - at * axis.size) / spread) ** 2)) for axis, at in ((down, y), (right, x))))
        shade = np.array(LAMPS[int(colour * len(LAMPS))], np.float32)
        light += blob[..., None].astype(np.float32) * shade * np.float32(params["lamp_light"] * (0.2 + strength))
    return light
