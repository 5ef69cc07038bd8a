"""Paths of a camera or an object during an exposure, and the mean of an image along them.

A hand trembles with inertia, and at times with jerks (Boracchi and Foi, TIP 2012). A camera of high frame rate gives a
blur of a few frames, each exposed for a share of its time, with gaps between them (GoPro: Nah et al., CVPR 2017).
"""

import math
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.scene import uniform
from restorekit.rng import rng_for

ROLL = 0.3  # standard deviation of roll over the exposure: of the shift at half a short side from the centre
FRAMES = (7, 16)  # frames averaged, the second number excluded
_STEPS = 21  # drawn points of a path, the middle one at rest
_FINE = 4  # points of a path for each pixel, in a kernel


def draw_exposure(rng: np.random.Generator) -> dict[str, Any]:
    """How a path is exposed: all the time, or in frames that are open for a share of theirs."""
    averaged = rng.random() < 0.4
    frames, shutter = int(rng.integers(*FRAMES)), uniform(rng, (0.4, 1.0))
    return {"frames": frames if averaged else 1, "shutter": shutter if averaged else 1.0}


def draw_camera(rng: np.random.Generator, exposure: dict[str, Any]) -> dict[str, Any]:
    """A camera's path but for its length: from straight and even to a wandering hand, with roll in half of the draws"""
    rolls = rng.random() < 0.5
    roll = float(rng.normal(0.0, 1.4 * ROLL))
    return {
        "direction": uniform(rng, (0.0, 360.0)),  # degrees
        "curvature": uniform(rng, (0.0, 1.0)),  # 0: straight and even; 1: a wandering hand
        "jerks": 0.0,
        "roll": roll if rolls else 0.0,
        "centre": [uniform(rng, (0.2, 0.8)), uniform(rng, (0.2, 0.8))],  # (y, x) of the frame: centre of the roll
        **exposure,
        "seed": int(rng.integers(2**32)),
    }


def draw_kernel(rng: np.random.Generator, exposure: dict[str, Any]) -> dict[str, Any]:
    """A random path with jerks and pauses, the same all over the frame, but for its length."""
    return {
        "direction": uniform(rng, (0.0, 360.0)),
        "curvature": uniform(rng, (0.3, 3.0)),
        "jerks": uniform(rng, (0.0, 0.4)),  # chance of a jerk at each of the path's steps
        "roll": 0.0,
        "centre": [0.5, 0.5],
        **exposure,
        "seed": int(rng.integers(2**32)),
    }


def centre_of(move: dict[str, Any], size: tuple[int, ...]) -> tuple[float, float]:
    """(y, x) of the centre of a move's roll, in pixels of a frame of `size`."""
    return move["centre"][0] * size[0] - 0.5, move["centre"][1] * size[1] - 0.5


def path_of(move: dict[str, Any], short: int) -> np.ndarray:
    """The path, float64 (steps, 3): x and y in pixels and roll in radians, all zero in the middle of the exposure."""
    draws = rng_for(move["seed"], "path").normal(size=(3, _STEPS + 2))
    # A hand's tremor with inertia: velocity = 0.85 velocity + draw.
    fading = 0.85 ** np.arange(_STEPS - 1)
    push = draws[:, : _STEPS - 1]
    if move["jerks"]:
        chance, strength = (rng_for(move["seed"], "jerks", part) for part in ("chance", "strength"))
        jerked = chance.random(_STEPS - 1) < move["jerks"]
        push[:2] += jerked * strength.normal(0.0, 2.5, (2, _STEPS - 1))
    velocity = np.cumsum(push / fading, axis=1) * fading
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
    count *= 1 if move["roll"] else _FINE
    count = -(-count // move["frames"]) * move["frames"]  # as many for each frame
    open_for = (np.arange(count) + 0.5) * (move["frames"] / count)
    within = np.floor(open_for)
    within += (1 - move["shutter"]) / 2 + move["shutter"] * (open_for - within)
    at = within * ((_STEPS - 1) / move["frames"])
    return np.stack([np.interp(at, np.arange(_STEPS), column) for column in path.T], axis=1)


def average_along(light: np.ndarray, path: np.ndarray, centre: tuple[float, float], border: int) -> np.ndarray:
    """The mean of `light` over the path, rolled around `centre` (y, x); float32, added in the path's order."""
    if not path[:, 2].any():
        return np.asarray(cv2.filter2D(light, -1, kernel_of(path), borderType=border))
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


def kernel_of(path: np.ndarray) -> np.ndarray:
    """The path without its roll as a kernel, float32 (2n + 1, 2n + 1), of sum 1: bilinear shares of each point."""
    reach = math.ceil(float(np.abs(path[:, :2]).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    first = np.floor(path[:, :2]).astype(np.intp)
    rest = path[:, :2] - first
    column, row = (first + reach).T
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - rest[:, 1]) * np.abs(1 - right - rest[:, 0])
            np.add.at(kernel, (row + down, column + right), share)
    return (kernel / kernel.sum()).astype(np.float32)


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
