"""Frames of a photograph: a part, cut at a recorded place and scale, or the whole photograph, resized."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cachetools import LRUCache, cached

from restorekit.degradations.scene import Scene
from restorekit.image import resize_short_side, to_float
from restorekit.sources.photo_index import LoadedPhotograph, Photograph, load_photograph

# A shard takes one frame of every photograph before it takes the second of any, and to decode a photograph of twelve
# megapixels takes longer than all else that is done for a frame of it.
CACHE_BYTES = 2**29  # of decoded photographs in each process that makes shards
CLOSER = 1.5  # largest scale of a photograph, in multiples of the least scale that covers a frame


def is_large_enough(photograph: Photograph, short_side: int, long_side: int) -> bool:
    """Whether a frame fits without enlarging the photograph."""
    sides = sorted((photograph.height, photograph.width))
    return sides[0] >= short_side and sides[1] >= long_side


def frame_shape(photograph: Photograph, short_side: int, long_side: int) -> tuple[int, int]:
    """(height, width) of a frame, upright if the photograph is."""
    return (short_side, long_side) if photograph.width >= photograph.height else (long_side, short_side)


def frame_size(photograph: Photograph, short_side: int) -> tuple[int, int]:
    """(height, width) of a photograph resized to `short_side` pixels on its shorter side."""
    scale = short_side / min(photograph.height, photograph.width)
    return max(short_side, round(photograph.height * scale)), max(short_side, round(photograph.width * scale))


def draw_frame(
    rng: np.random.Generator, photograph: Photograph, short_side: int, long_side: int
) -> dict[str, list[int]]:
    """The size to resize a photograph to, and (top, left, height, width) of the frame in it, as JSON values."""
    height, width = frame_shape(photograph, short_side, long_side)
    least = max(height / photograph.height, width / photograph.width)
    scale = least * min(1.0 / least, CLOSER) ** float(rng.random())
    resized = [max(height, round(photograph.height * scale)), max(width, round(photograph.width * scale))]
    top, left = (int(rng.integers(have - need + 1)) for have, need in zip(resized, (height, width), strict=True))
    return {"resized": resized, "window": [top, left, height, width]}


def draw_part(rng: np.random.Generator, photograph: Photograph, short_side: int, zoom: float) -> dict[str, list[int]]:
    """As `draw_frame`, of a frame in the photograph's own shape, up to `zoom` times closer than the whole.

    Large photographs are so seen at the scales of a thumbnail and of a camera's pixels. None is enlarged by this.
    """
    height, width = frame_size(photograph, short_side)
    least = short_side / min(photograph.height, photograph.width)
    closest = max(1.0, min(1.0 / least, zoom))
    scale = least * closest ** float(rng.random())
    resized = [max(height, round(photograph.height * scale)), max(width, round(photograph.width * scale))]
    top, left = (int(rng.integers(have - need + 1)) for have, need in zip(resized, (height, width), strict=True))
    return {"resized": resized, "window": [top, left, height, width]}


def cut_frame(photos: Path, photograph: Photograph, frame: Mapping[str, Any]) -> Scene:
    """The frame that `draw_frame` drew, with disparity if the photograph has any."""
    loaded = _loaded(photos, photograph)
    height, width = frame["resized"]
    top, left, rows, columns = frame["window"]
    window = np.s_[top : top + rows, left : left + columns]
    pixels = loaded.pixels
    if pixels.shape[:2] != (height, width):
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    image = to_float(np.ascontiguousarray(pixels[window]))
    if loaded.disparity is None:
        return Scene(image)
    # Nearest neighbours: interpolation would spread the NaN of unknown disparities.
    disparity = cv2.resize(loaded.disparity, (width, height), interpolation=cv2.INTER_NEAREST)
    return Scene(image, np.ascontiguousarray(disparity[window]))


@lru_cache(maxsize=16)
def whole_frame(photos: Path, photograph: Photograph, short_side: int) -> Scene:
    """The whole photograph, resized to `short_side`, with disparity if it has any."""
    loaded = load_photograph(photos, photograph)
    image = to_float(resize_short_side(loaded.pixels, short_side))
    if loaded.disparity is None:
        return Scene(image)
    # Nearest neighbours: interpolation would spread the NaN of unknown disparities.
    height, width = image.shape[:2]
    return Scene(image, cv2.resize(loaded.disparity, (width, height), interpolation=cv2.INTER_NEAREST))


def _size(loaded: LoadedPhotograph) -> int:
    return loaded.pixels.nbytes + (0 if loaded.disparity is None else loaded.disparity.nbytes)


@cached(LRUCache(CACHE_BYTES, _size))
def _loaded(photos: Path, photograph: Photograph) -> LoadedPhotograph:
    return load_photograph(photos, photograph)
