"""Draws layers of streaks with anti-aliasing, the same scene at every resolution.

"drops" draws every streak by itself: thin and soft, with ends of its own. "noise" smears noise along a direction and
keeps what stands out, as the makers of Rain100L, Rain100H and Rain800 did (Yang et al., CVPR 2017; Zhang et al., TCSVT
2020): ragged streaks of uneven brightness.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.fields import smooth_field
from restorekit.rng import rng_for

DRAWINGS = ("drops", "noise")
_PIXEL = 0.35  # standard deviation of a pixel's own footprint, pixels
_COARSE = 1.5  # pixels: wider streaks are drawn on a coarser grid and enlarged
_REACH = 2.5  # standard deviations at which a cross section ends
_SAMPLES = 2_000_000  # drawn at once, to bound the memory


@dataclass(frozen=True)
class _Streaks:
    """Arrays with one entry for each streak, float64 (N,): lengths in short sides, angles in radians."""

    x: np.ndarray
    y: np.ndarray
    length: np.ndarray
    sigma: np.ndarray
    tau: np.ndarray
    angle: np.ndarray
    beads: np.ndarray  # oscillations along the streak
    phase: np.ndarray

    def part(self, which: slice) -> "_Streaks":
        return _Streaks(**{name: values[which] for name, values in vars(self).items()})


def draw_streaks(size: tuple[int, int], layer: dict[str, Any], fan: float) -> np.ndarray:
    """The optical depth of one layer of streaks, float32 (H, W), from 0 up.

    layer: drawing (of DRAWINGS), tau (in the middle of the brightest streaks), length, width, defocus (fractions of the
    short side), angle (degrees from the vertical), seed. For drops: density (streaks on a square of the short side),
    spread (of the angle, degrees), beads (depth of the modulation along a streak), ends (share of the length over
    which a streak fades), taper (from -1, bright at the top, to 1), flat (an even cross section with steep flanks). For
    noise: share (of the cells that are lit), cut (standard deviations above the mean from which on it shows), uneven
    (standard deviation of the logarithm of brightness over the frame). fan: degrees by which the direction of drops
    turns from the left border to the right one. Streaks thinner than a pixel are dimmed, not widened.
    """
    return _smear(size, layer) if layer["drawing"] == "noise" else _draw_drops(size, layer, fan)


def _smear(size: tuple[int, int], layer: dict[str, Any]) -> np.ndarray:
    """Noise on a grid as fine as a streak is wide, smeared along the streaks' direction."""
    cell = 2.0 * float(np.hypot(layer["width"], layer["defocus"]))  # of the short side
    grid = (int(np.ceil(size[0] / min(size) / cell)), int(np.ceil(size[1] / min(size) / cell)))
    rng = rng_for(layer["seed"], "noise")
    share = layer["share"]
    lit = rng.random(grid, dtype=np.float32)
    lit -= np.float32(1.0 - share)
    np.maximum(lit, 0.0, out=lit)
    kernel = _line(layer["length"] / cell, np.radians(layer["angle"]))
    tau = cv2.filter2D(lit, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
    # Mean and variance of a cell, of which `share` hold a uniform value up to `share`.
    mean = share * share / 2
    deviation = float(np.sqrt((share**3 / 3 - mean * mean) * np.square(kernel, dtype=np.float64).sum()))
    start = mean + layer["cut"] * deviation
    # Three deviations, which one cell in 700 exceeds, have the depth `tau`.
    tau = (tau - np.float32(start)) * np.float32(layer["tau"] / ((3.0 - layer["cut"]) * deviation))
    np.maximum(tau, 0.0, out=tau)
    if layer["uneven"]:
        tau *= cv2.exp(smooth_field(rng, grid, (0.3, 0.3), 2) * np.float32(layer["uneven"]))
    shrinks = grid[0] > size[0]
    tau = cv2.resize(tau, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.maximum(tau, 0.0, out=tau)


def _line(length: float, angle: float) -> np.ndarray:
    """A soft line of `length` cells, at `angle` radians from the vertical, float32 (2n + 1, 2m + 1), of sum 1."""
    reach = length / 2 + 1.0
    down = np.arange(-int(np.ceil(reach * np.cos(angle))), int(np.ceil(reach * np.cos(angle))) + 1)[:, None]
    right = np.arange(-int(np.ceil(reach * abs(np.sin(angle))) + 1), int(np.ceil(reach * abs(np.sin(angle))) + 2))[None]
    along = down * np.cos(angle) + right * np.sin(angle)
    across = right * np.cos(angle) - down * np.sin(angle)
    line = np.clip(length / 2 + 0.5 - np.abs(along), 0.0, 1.0) * np.exp(-2.0 * across * across)
    return np.asarray(line / line.sum(), np.float32)


def _draw_drops(size: tuple[int, int], layer: dict[str, Any], fan: float) -> np.ndarray:
    short = min(size)
    factor = max(1.0, 0.7 * np.hypot(layer["width"], layer["defocus"]) * short / _COARSE)
    grid = (max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))
    streaks = _scatter(layer, fan, (size[0] / short, size[1] / short))
    tau = _raster(streaks, grid, short / factor, layer)
    return tau if grid == size else cv2.resize(tau, size[::-1], interpolation=cv2.INTER_CUBIC)


def _scatter(layer: dict[str, Any], fan: float, extent: tuple[float, float]) -> _Streaks:
    """The streaks of a layer; a greater density adds streaks and moves none."""
    margin = layer["length"]
    height, width = extent[0] + 2 * margin, extent[1] + 2 * margin
    number = round(layer["density"] * height * width)
    draws = rng_for(layer["seed"], "streaks").random((number, 9)).T
    x = draws[0] * width - margin
    sizes = layer["width"] * (0.7 + 0.6 * draws[2])
    sigma = np.hypot(sizes, layer["defocus"])
    turn = layer["spread"] * np.sqrt(6.0) * (draws[3] + draws[4] - 1.0) + fan * (x / extent[1] - 0.5)
    return _Streaks(
        x=x,
        y=draws[1] * height - margin,
        length=layer["length"] * (0.5 + draws[5]),
        sigma=sigma,
        tau=layer["tau"] * (0.1 + 0.9 * draws[6] ** 2) * sizes / sigma,  # many faint streaks, few bright ones
        angle=np.radians(layer["angle"] + turn),
        beads=1.0 + 3.0 * draws[7],
        phase=2 * np.pi * draws[8],
    )


def _raster(streaks: _Streaks, grid: tuple[int, int], unit: float, layer: dict[str, Any]) -> np.ndarray:
    """The sum of the streaks, drawn row by row; `unit` is the short side in samples of the grid."""
    reach = _REACH * float(np.hypot(streaks.sigma.max(initial=0.0) * unit, _PIXEL))
    half = max(1, int(reach / np.cos(np.abs(streaks.angle).max(initial=0.0)) + 0.5))
    stride = grid[1] + 4 * half + 3  # a border on both sides takes the samples outside the frame
    tau = np.zeros(grid[0] * stride)
    first, rows = _rows(streaks, grid[0], unit)
    ends = np.cumsum(rows) * (2 * half + 1)
    start = 0
    while start < rows.size:
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _SAMPLES)))
        part = slice(start, stop)
        where, values = _samples(streaks.part(part), first[part], rows[part], half, grid[1], unit, layer)
        tau += np.bincount(where, values, minlength=tau.size)
        start = stop
    return np.ascontiguousarray(tau.reshape(grid[0], stride)[:, 2 * half + 1 : 2 * half + 1 + grid[1]], np.float32)


def _rows(streaks: _Streaks, height: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each streak within the frame, and the number of its rows."""
    reach = (streaks.length / 2 + _REACH * streaks.sigma) * unit + 1.0
    middle = streaks.y * unit - 0.5
    first = np.clip(np.ceil(middle - reach), 0, height).astype(np.intp)
    last = np.clip(np.floor(middle + reach), -1, height - 1).astype(np.intp)
    return first, np.maximum(last - first + 1, 0)


def _samples(
    streaks: _Streaks, first: np.ndarray, rows: np.ndarray, half: int, width: int, unit: float, layer: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Flat places in the bordered frame and the optical depths there: 2 * half + 1 columns for every row."""

    def by_row(values: np.ndarray) -> np.ndarray:
        return np.repeat(values.astype(np.float32), rows)

    before = np.cumsum(rows) - rows
    row = np.arange(int(rows.sum())) + np.repeat(first - before, rows)
    below = row.astype(np.float32) - by_row(streaks.y * unit - 0.5)
    column = by_row(streaks.x * unit - 0.5) + below * by_row(np.tan(streaks.angle))
    np.clip(column, -half - 1, width + half, out=column)
    middle = np.rint(column).astype(np.intp)
    # From -1/2 to 1/2 along the streak. The soft ends are longer than the streak is wide, so that they can follow rows.
    length = streaks.length * unit
    along = below * by_row(1.0 / (length * np.cos(streaks.angle)))
    thin = streaks.sigma * unit
    sigma = np.hypot(thin, _PIXEL)
    soft = by_row(layer["ends"] + 1.5 * sigma / length)
    within = np.clip(0.5 + (0.5 - np.abs(along)) / soft, 0.0, 1.0)
    peak = by_row(streaks.tau * thin / sigma / (1.0 + layer["beads"])) * within * within * (3 - 2 * within)
    swing = np.cos(by_row(streaks.phase) + by_row(2 * np.pi * streaks.beads) * along)
    peak *= 1 + np.float32(layer["beads"]) * swing
    peak *= np.maximum(1 + np.float32(2 * layer["taper"]) * along, 0.0)

    columns = np.arange(-half, half + 1)
    across = columns.astype(np.float32) - (column - middle).astype(np.float32)[:, None]
    across *= by_row(np.cos(streaks.angle) / sigma)[:, None]
    across *= across
    # Out of focus, a streak is the lens's disc drawn along a line: flat in the middle, with steeper flanks.
    across *= across * np.float32(-0.2) if layer["flat"] else np.float32(-0.5)
    np.exp(across, out=across)
    across *= peak[:, None]
    where = (row * (width + 4 * half + 3) + middle + 2 * half + 1)[:, None] + columns
    return where.ravel(), across.ravel()
