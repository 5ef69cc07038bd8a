"""Paths of a camera or a thing in it during the exposure, and the light that is averaged along them."""

import math
from typing import Any

import cv2
import numpy as np

from restorekit.rng import rng_for

_STEPS = 21  # points that are drawn of a path, the middle one at rest


def centre_of(move: dict[str, Any], size: tuple[int, ...]) -> tuple[float, float]:
    """(y, x) of what a move rolls around, in pixels of a frame of `size`."""
    return move["centre"][0] * size[0] - 0.5, move["centre"][1] * size[1] - 0.5


def path_of(move: dict[str, Any], short: int) -> np.ndarray:
    """The path, float64 (steps, 3): x and y in pixels and roll in radians, all zero in the middle of the exposure."""
    draws = rng_for(move["seed"], "path").normal(size=(3, _STEPS + 2))
    # A hand's tremor: what it does next is mostly what it did before, state = 0.85 state + draw.
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
    # As many steps as the path has pixels, so that no step shows, each in the middle of its share of the exposure.
    count = max(3, 2 * int(np.ceil(length * (1 + abs(move["roll"])) / 2)) + 1)
    at = (np.arange(count) + 0.5) * ((_STEPS - 1) / count)
    return np.stack([np.interp(at, np.arange(_STEPS), column) for column in path.T], axis=1)


def average_along(light: np.ndarray, path: np.ndarray, centre: tuple[float, float], border: int) -> np.ndarray:
    """The mean of `light` over the path, rolled around `centre` (y, x), added up in float32 in the path's order."""
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
    """How much of a detail of one grid pixel survives, float32 (h, w): 1 at rest, 0 where it moves further."""
    y = np.arange(grid[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.arange(grid[1], dtype=np.float32)[None] - np.float32(centre[1])
    spread = np.zeros(grid, np.float32)
    for axis, lever, sign in ((0, y, -1.0), (1, x, 1.0)):
        shift, roll = path[:, axis], sign * path[:, 2]
        covariance = np.cov(np.stack([shift, roll]), bias=True)
        spread += np.float32(covariance[0, 0]) + lever * np.float32(2 * covariance[0, 1])
        spread += lever * lever * np.float32(covariance[1, 1])
    return cv2.exp(spread * np.float32(-12.0))
