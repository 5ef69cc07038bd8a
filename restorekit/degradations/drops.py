"""Drops and trails of water on a pane: where they lie, and the pixels that they cover.

A greater density adds drops and moves none. Drops that touch run into one another: every drop has a bump that ends at
REACH times its outline, water is where the sum of the bumps is above that of one drop at its outline (metaballs), and a
pixel's place within its drop is the mean over the bumps. A drop that runs down leaves a trail, a chain of small drops.
"""

from typing import Any, NamedTuple

import numpy as np

from restorekit.rng import rng_for

LARGEST = 0.2  # radius, of the short side
REACH = 1.4  # of a drop's outline: where its bump ends
_WATER = (1 - 1 / REACH**2) ** 2  # the bump at the outline
_LINKS = 160  # drops of a trail at most


class Drops(NamedTuple):
    """One entry a drop, float32 (N,): pixels of the grid."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    outline: np.ndarray  # (N, 5): coefficients of cos and sin of 2 and 3 angles, and the sag


class Water(NamedTuple):
    """The pixels of a grid that are under water, one entry a pixel, float32 (N,) but for `where`."""

    where: np.ndarray  # int (N,), flat places on the grid
    x: np.ndarray  # the centre of the pixel's drop, pixels of the grid
    y: np.ndarray
    right: np.ndarray  # the pixel's place in its drop, from the centre, in parts of the outline's distance
    down: np.ndarray
    far: np.ndarray  # 0 in the middle of the water, 1 at its outline
    alpha: np.ndarray  # share of the pixel that is under water


def scatter(params: dict[str, Any], size: tuple[int, ...], unit: float) -> Drops:
    """The drops of a record on a frame of `size` (H, W) pixels; a short side has `unit` pixels of the grid."""
    short = min(size)
    frame = np.array([size[1] / short, size[0] / short])  # (x, y), in short sides
    margin = min(LARGEST, params["margin"])
    number = int(np.ceil(params["density"] * np.prod(frame + 2 * margin)))
    draws = rng_for(params["seed"], "drops").random((number, 10))
    radius = np.exp(params["spread"] * rng_for(params["seed"], "radii").normal(size=number))
    radius = np.minimum(params["radius"] * radius, LARGEST)
    place = draws[:, :2] * (frame + 2 * margin) - margin
    place[:1] = frame * (0.15 + 0.7 * draws[:1, :2])  # one drop always shows
    place = _gather(place, radius, draws[:, 7:], params["gathered"])
    kept = _in_part(place - frame / 2, params["part"], draws[:, 9])
    kept[:1] = True
    # Large drops are long and sag; surface tension keeps small ones round.
    large = np.clip(radius / 0.03, 0.25, 1.0)
    outline = (draws[:, 2:6] - 0.5) * (2 * params["wobble"] * large)[:, None]
    outline[:, 0] -= 0.5 * params["sag"] * large
    outline = np.column_stack([outline, params["sag"] * large * (0.4 + 0.6 * draws[:, 6])])
    place, radius, outline = place[kept], radius[kept], outline[kept]
    if params["trails"]:
        links, widths = _trails(params["trails"], frame)
        place, radius = np.concatenate([place, links]), np.concatenate([radius, widths])
        outline = np.concatenate([outline, np.zeros((len(links), 5))])
    x, y, radius = ((column * unit).astype(np.float32) for column in (*place.T, radius))
    return Drops(x - 0.5, y - 0.5, radius, outline.astype(np.float32))


def _gather(place: np.ndarray, radius: np.ndarray, draws: np.ndarray, share: float) -> np.ndarray:
    """The places (N, 2), of which a share is moved beside an earlier drop; an earlier drop never depends on a later."""
    alone = draws[:, 0] >= share
    alone[:1] = True
    hosts = np.flatnonzero(alone)
    earlier = np.maximum(np.cumsum(alone) - alone, 1)  # hosts before each drop
    host = hosts[(draws[:, 0] / max(share, 1e-6) * earlier).astype(np.intp).clip(0, earlier - 1)]
    turn = 2 * np.pi * draws[:, 1]
    beside = place[host] + (0.95 * (radius[host] + radius))[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    return np.where(alone[:, None], place, beside)


def _in_part(place: np.ndarray, part: dict[str, Any] | None, draws: np.ndarray) -> np.ndarray:
    """Which drops are kept, bool (N,): all without a part, else those on its side of a soft, wavy line."""
    if part is None:
        return np.ones(len(place), bool)
    angle = np.radians(part["direction"])
    across = np.cos(angle) * place[:, 0] + np.sin(angle) * place[:, 1]
    along = np.cos(angle) * place[:, 1] - np.sin(angle) * place[:, 0]
    wave = 0.12 * np.sin(2 * np.pi * (1.3 * along + part["phase"])) + 0.06 * np.sin(2 * np.pi * 3.1 * along)
    kept: np.ndarray = across + wave - part["begins"] > (draws - 0.5) * part["soft"]
    return kept


def _trails(trails: dict[str, Any], frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 2) and radii (N,) of the drops that running drops are and leave, in short sides."""
    number = int(np.ceil(trails["density"] * frame[0]))
    draws = rng_for(trails["seed"], "trails").random((number, 5))
    wander = rng_for(trails["seed"], "wander").normal(size=(number, _LINKS))
    width = trails["width"] * np.exp(0.8 * draws[:, 2] - 0.4)
    step = np.maximum(0.6 * width, 1.2 / _LINKS)
    below = step[:, None] * np.arange(_LINKS)
    length = trails["length"] * (0.4 + 1.2 * draws[:, 3])
    # A drop drifts aside with inertia; the trail is thin at its old end, uneven, and torn where it dries.
    drift = np.cumsum(np.cumsum(wander, axis=1) * 0.15 + wander, axis=1) * (0.25 * trails["drift"] * step)[:, None]
    x = draws[:, :1] * frame[0] + drift
    y = draws[:, 1:2] * (frame[1] + 0.5) - 0.5 + below
    share = below / length[:, None]
    uneven = np.sin(wander[:, :1] * 9 + 14 * share + 3 * drift / width[:, None])
    radius = width[:, None] * (0.35 + 0.4 * share) * (1 + 0.35 * uneven)
    last = (share <= 1) & (share + (step / length)[:, None] > 1)
    radius[last] = (width * (1.2 + 0.8 * draws[:, 4]))[last.any(axis=1)]
    kept = (share <= 1) & ((uneven > 2 * trails["torn"] - 1.4) | last)
    return np.column_stack([x[kept], y[kept]]), radius[kept]


def cover(drops: Drops, grid: tuple[int, int]) -> Water:
    """The pixels of a grid of (h, w) that are under water."""
    reach = REACH * drops.radius * (1 + np.abs(drops.outline).sum(axis=1)) + np.float32(0.5)
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
    outline = _outline(x, y, drops, drop, count)
    bump = np.maximum(1 - (x * x + y * y) / (np.float32(REACH**2) * outline * outline), 0) ** 2
    total = np.bincount(where, bump, grid[0] * grid[1])
    wet = np.flatnonzero(total > 0)
    share = total[wet]
    right, down, radius = (
        (np.bincount(where, bump * part, total.size)[wet] / share).astype(np.float32)
        for part in (x / outline, y / outline, outline)
    )
    alpha = np.clip((share - _WATER) * radius + 0.5, 0, 1) * np.minimum(1, 3 * radius * radius)
    far = REACH * np.sqrt(1 - np.sqrt(np.minimum(share, 1)))
    kept = np.flatnonzero(alpha)
    where, right, down, radius = wet[kept], right[kept], down[kept], radius[kept]
    at_y, at_x = np.divmod(where, grid[1])
    centre = (np.float32(at_x) - right * radius, np.float32(at_y) - down * radius)
    return Water(where, *centre, right, down, far[kept].astype(np.float32), alpha[kept].astype(np.float32))


def _outline(x: np.ndarray, y: np.ndarray, drops: Drops, drop: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The distance of the outline from its drop's centre in the direction of each pixel (x, y), float32 (N,)."""
    far = np.sqrt(x * x + y * y) + np.float32(1e-6)
    cos, sin = x / far, y / far
    cos2 = cos * cos - sin * sin
    sin2 = 2 * cos * sin
    cos3, sin3 = cos2 * cos - sin2 * sin, sin2 * cos + cos2 * sin
    outline = np.ones_like(far)
    for part, wave in zip(drops.outline.T, (cos2, sin2, cos3, sin3, sin), strict=True):
        wave *= np.repeat(part[drop], count)
        outline += wave
    np.maximum(outline, np.float32(0.3), out=outline)
    outline *= np.repeat(drops.radius[drop], count)
    return outline


def _span(centre: np.ndarray, reach: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first pixel within reach of each centre, and the number of such pixels, int (N,)."""
    first = np.clip(np.ceil(centre - reach), 0, side).astype(np.intp)
    last = np.clip(np.floor(centre + reach), -1, side - 1).astype(np.intp)
    return first, np.maximum(last - first + 1, 0)


def _each(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The spans of `count` integers that begin at every `first`, joined."""
    before = np.cumsum(count) - count
    return np.arange(int(count.sum())) + np.repeat(first - before, count)
