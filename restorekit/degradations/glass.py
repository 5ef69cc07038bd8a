"""Light that a pane reflects: out of focus or sharp, doubled, tinted, fading, in the whole frame or in a part of it.

Reflections in glass are mostly out of focus, because the camera is focused behind the pane (Wan et al., SIR2, ICCV
2017). A thick pane reflects at its front and its back face: two copies, shifted and of unequal weight (Shih et al.,
CVPR 2015). The reflected share changes over the frame with the angle of view. Often only what is bright is seen: a
window behind the photographer, lamps, the sky above a dark street. Lamps and windows are far brighter than white paper;
the highlights give back the light that the photograph cut off.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.scene import uniform

DEFOCUS = (0.0008, 0.03)  # of the short side: standard deviation of the blur of a reflection out of focus
SHARP = 0.2  # share of the reflections in focus
HIGHLIGHTS = (0.3, 20.0)  # extra light of white, in multiples of its own
SHAPES = {"all": 0.6, "windows": 0.15, "lamps": 0.1, "bright": 0.15}  # the reflecting part: its share of the draws
_PANE = np.array([[0.08, 0.08], [0.08, 0.92], [0.92, 0.92], [0.92, 0.08]])  # its corners (y, x) between the bars
_FRACTION = 4  # bits of a pixel in the corners of a shape
_BRIGHT = (0.05, 0.6)  # light from which on the shape "bright" is reflected, and from which on it all is


def draw_glass(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters of a pane and of the reflecting part of its frame, with lengths in fractions of the short side."""
    thick = bool(rng.random() < 0.6)
    shift, turn = uniform(rng, (0.006, 0.025)), uniform(rng, (0.0, 2 * np.pi))
    weight = uniform(rng, (0.3, 0.8))
    sharp, defocus = bool(rng.random() < SHARP), _log_uniform(rng, DEFOCUS)
    return {
        "defocus": 0.0 if sharp else defocus,  # standard deviation of the blur
        "ghost": [shift * float(np.sin(turn)), shift * float(np.cos(turn))] if thick else [0.0, 0.0],  # (y, x)
        "ghost_weight": weight if thick else 0.0,  # of the back face's copy; the front's is 1
        "highlights": _log_uniform(rng, HIGHLIGHTS),
        "fade": [uniform(rng, (-1.2, 1.2)), uniform(rng, (-1.2, 1.2))],  # change of the log over the frame, (y, x)
        "fade_corners": uniform(rng, (0.0, 1.5)),  # drop of the log from the middle to a corner
        "tint": _draw_tint(rng),  # of the reflected light by channel, at most 1
        "cover": _draw_cover(rng),
    }


def draw_loss(rng: np.random.Generator) -> list[float]:
    """The share of the light that the glass keeps from the scene behind it, by channel; a fifth loses much."""
    grey = uniform(rng, (0.0, 0.2)) if rng.random() < 0.8 else uniform(rng, (0.2, 0.4))
    span = 0.1 if rng.random() < 0.25 else 0.02
    return [float(np.clip(grey + uniform(rng, (-span, span)), 0.0, 0.5)) for _ in range(3)]


def glass_light(reflected: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """The light that the glass reflects, float32 (h, w, 3) from 0 up, for the scene's light in [0, 1]."""
    size = (reflected.shape[0], reflected.shape[1])
    brightness = cv2.cvtColor(reflected, cv2.COLOR_RGB2GRAY)
    square = brightness * brightness
    gain = 1 + np.float32(params["highlights"]) * square * square
    gain *= _covered(brightness, params["cover"])
    tint = np.array(params["tint"], np.float32)
    light = reflected * gain[..., None] * tint
    if params["cover"]["shape"] == "lamps":
        light += _lamps(size, params["cover"]["lamps"])
    if params["ghost_weight"]:
        y, x = (shift * min(size) for shift in params["ghost"])
        moved = cv2.warpAffine(
            light, np.array([[1.0, 0.0, x], [0.0, 1.0, y]]), size[::-1], borderMode=cv2.BORDER_REFLECT_101
        )
        share = 1 / (1 + params["ghost_weight"])
        light = cv2.addWeighted(light, share, moved, 1 - share, 0.0)
    sigma = params["defocus"] * min(size)
    if sigma > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    y, x = (np.linspace(-0.5, 0.5, side, dtype=np.float32) if side > 1 else np.zeros(1, np.float32) for side in size)
    fade = np.float32(params["fade"][0]) * y - np.float32(2 * params["fade_corners"]) * y * y
    across = np.float32(params["fade"][1]) * x - np.float32(2 * params["fade_corners"]) * x * x
    light *= np.outer(np.exp(fade), np.exp(across))[..., None]
    return light


def _log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(span))))


def _draw_tint(rng: np.random.Generator) -> list[float]:
    """The colour of the reflected light: nearly grey, warm or cool, and for one in six any colour."""
    any_colour = rng.random() < 1 / 6
    free = [uniform(rng, (0.3, 1.0)) for _ in range(3)]
    warmth = uniform(rng, (-0.25, 0.25))
    tint = free if any_colour else [1 + warmth, 1.0, 1 - warmth]
    return [value / max(tint) for value in tint]


def _draw_cover(rng: np.random.Generator) -> dict[str, Any]:
    """The part of the frame that reflects: {"shape": one of `SHAPES`, "rest": light left elsewhere, ...}."""
    shape = str(rng.choice(list(SHAPES), p=list(SHAPES.values())))
    rest = uniform(rng, (0.0, 0.15))
    windows = [_draw_window(rng) for _ in range(int(rng.integers(1, 4)))]
    lamps = [_draw_lamp(rng) for _ in range(int(rng.integers(1, 13)))]
    own: dict[str, dict[str, Any]] = {"windows": {"windows": windows}, "lamps": {"lamps": lamps}}
    return {"shape": shape, "rest": rest, **own.get(shape, {})}


def _draw_window(rng: np.random.Generator) -> dict[str, Any]:
    """Four corners around a place, with bars; in fractions of the sides, (y, x)."""
    centre, half = rng.uniform(0.1, 0.9, 2), rng.uniform(0.1, 0.4, 2)
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half + rng.uniform(-0.06, 0.06, (4, 2)) + centre
    return {"corners": corners.tolist(), "bars": [int(rng.integers(0, 3)), int(rng.integers(0, 3))]}


def _draw_lamp(rng: np.random.Generator) -> dict[str, Any]:
    colour, light = [1.0, uniform(rng, (0.6, 1.0)), uniform(rng, (0.3, 1.0))], _log_uniform(rng, (1.0, 12.0))
    warm = rng.random() < 0.7
    return {
        "centre": [float(value) for value in rng.random(2)],  # (y, x) of the sides
        "radius": _log_uniform(rng, (0.004, 0.04)),
        "stretch": _log_uniform(rng, (0.2, 5.0)),  # its width against its height
        "light": [light * value for value in (colour if warm else colour[::-1])],  # white paper is 1
    }


def _covered(brightness: np.ndarray, cover: dict[str, Any]) -> np.ndarray:
    """The share of the light that is reflected, float32 (h, w), before any blur."""
    size = (brightness.shape[0], brightness.shape[1])
    rest = np.float32(cover["rest"])
    match cover["shape"]:
        case "windows":
            return np.asarray(rest + (1 - rest) * _windows(size, cover["windows"]))
        case "lamps":
            return np.full(size, rest, np.float32)
        case "bright":
            low, high = _BRIGHT
            share = np.clip((brightness - np.float32(low)) / np.float32(high - low), 0, 1)
            return np.asarray(rest + (1 - rest) * share)
    return np.ones(size, np.float32)


def _windows(size: tuple[int, int], windows: list[dict[str, Any]]) -> np.ndarray:
    """1 in the panes of windows, 0 in their bars and around them, float32 (h, w)."""
    canvas = np.zeros(size, np.uint8)
    for window in windows:
        corners = np.array(window["corners"])
        down, across = (np.arange(bars + 1) for bars in window["bars"])
        for row in down:
            for column in across:
                edges = (_PANE + np.array([row, column])) / (down.size, across.size)
                y, x = edges[:, :1], edges[:, 1:]
                upper, lower = (corners[a] + x * (corners[b] - corners[a]) for a, b in ((0, 1), (3, 2)))
                _fill(canvas, (upper + y * (lower - upper)) * size)
    return canvas.astype(np.float32) / 255


def _lamps(size: tuple[int, int], lamps: list[dict[str, Any]]) -> np.ndarray:
    """Lamps with their glare, which falls off as stars' images do (Moffat, 1969), float32 (h, w, 3) from 0 up."""
    light = np.zeros((*size, 3), np.float32)
    for lamp in lamps:
        radius, wide = lamp["radius"] * min(size), lamp["stretch"] ** 0.5
        centre, reach = np.array(lamp["centre"]) * size, np.array([1 / wide, wide]) * radius
        top, left = np.clip(np.floor(centre - 6 * reach).astype(int), 0, size)
        bottom, right = np.clip(np.ceil(centre + 6 * reach).astype(int), 0, size)
        down, across = np.ogrid[top:bottom, left:right]
        square = ((down + 0.5 - centre[0]) / reach[0]) ** 2 + ((across + 0.5 - centre[1]) / reach[1]) ** 2
        glare = ((1 + square.astype(np.float32)) ** -2.5)[..., None]
        light[top:bottom, left:right] += glare * np.array(lamp["light"], np.float32)
    return light


def _fill(canvas: np.ndarray, corners: np.ndarray) -> None:
    """Fill a convex polygon with 255, with smooth edges; corners (y, x) in pixels, the first pixel from 0 to 1."""
    points = np.round((corners[:, ::-1] - 0.5) * 2**_FRACTION).astype(np.int32)
    cv2.fillConvexPoly(canvas, points, 255, cv2.LINE_AA, _FRACTION)
