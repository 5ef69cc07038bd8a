"""Layouts of large images: tiles overlap by the network's context, and their weights add up to one at every pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.models.descriptor import Descriptor

SMALLEST_TILE = 32  # pixels; a smaller tile is nearly all margin
EXACT_RAMP = 4  # pixels on each side of a seam: tiles of an exact network differ there by rounding only


@dataclass(frozen=True)
class Axis:
    """One direction of a layout: `len(starts)` tiles of `size` pixels that cover `length`.

    A seam is the middle of two neighbours' overlap. Around the seam one tile fades into the other over 2 x `ramp`
    pixels. Beyond the ramp a tile has no weight, so `overlap` / 2 - `ramp` pixels at each end are context alone.
    """

    length: int
    size: int
    overlap: int
    ramp: int
    starts: tuple[int, ...]

    def weights(self, index: int) -> np.ndarray:
        """The weights of tile `index`, float32 (size,); the weights of all tiles add up to one at every pixel."""
        places = np.arange(self.starts[index], self.starts[index] + self.size) + 0.5
        before = self._share_left_of(index - 1, places) if index > 0 else 0.0
        after = self._share_left_of(index, places) if index < len(self.starts) - 1 else 1.0
        return np.asarray(after - before, np.float32) * np.ones(self.size, np.float32)

    def _share_left_of(self, seam: int, places: np.ndarray) -> np.ndarray:
        """1 well left of the seam between tile `seam` and the next, 0 well right of it, smooth between."""
        middle = (self.starts[seam] + self.size + self.starts[seam + 1]) / 2
        distance = np.clip((middle + self.ramp - places) / (2 * self.ramp), 0.0, 1.0)
        return distance**2 * (3 - 2 * distance)


@dataclass(frozen=True)
class Tile:
    """A window of the image, and its weights (H,) and (W,)."""

    top: int
    left: int
    rows: np.ndarray
    columns: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + len(self.rows)), slice(self.left, self.left + len(self.columns))


@dataclass(frozen=True)
class Layout:
    """All tiles of an image of `rows.length` x `columns.length` pixels."""

    rows: Axis
    columns: Axis
    streamed: bool = False  # in one piece, streamed within the free memory

    @property
    def num_tiles(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def tile_pixels(self) -> int:
        return self.rows.size * self.columns.size

    def tiles(self) -> Iterator[Tile]:
        """The tiles, row by row."""
        for row, top in enumerate(self.rows.starts):
            for column, left in enumerate(self.columns.starts):
                yield Tile(top, left, self.rows.weights(row), self.columns.weights(column))


def whole(height: int, width: int, streamed: bool = False) -> Layout:
    """The layout of an image that is restored in one piece."""
    return Layout(_axis(height, height, 0, 1, 1), _axis(width, width, 0, 1, 1), streamed)


def layout_for_tile(height: int, width: int, tile: int, descriptor: Descriptor) -> Layout:
    """Tiles of the side that the user asked for, or of the image's side if shorter."""
    multiple, least = descriptor.size_multiple, max(descriptor.min_size, SMALLEST_TILE)
    if tile < least:
        raise RestorekitError(f"a tile of {tile} pixels is too small for {descriptor.name}: at least {least}")
    if tile % multiple:
        below = tile // multiple * multiple
        raise RestorekitError(
            f"tiles for {descriptor.name} are multiples of {multiple} pixels: {below} or {below + multiple}, not {tile}"
        )
    return Layout(_cut(height, tile, descriptor), _cut(width, tile, descriptor))


def layout_for_budget(height: int, width: int, max_pixels: int, descriptor: Descriptor) -> Layout:
    """Tiles of at most `max_pixels`, as large as possible, then as even as possible.

    A RestorekitError where the smallest sensible tile is larger.
    """
    if height * width <= max_pixels:
        return whole(height, width)
    multiple = descriptor.size_multiple
    tile_width = max(1, min(width, max_pixels // max(1, min(height, isqrt(max_pixels)))))
    tile_height = min(height, max_pixels // tile_width)
    sizes = []
    for length, size in ((height, tile_height), (width, tile_width)):
        size = size if size >= length else size // multiple * multiple
        least = min(length, -(-max(descriptor.min_size, SMALLEST_TILE) // multiple) * multiple)
        if size < least:
            raise RestorekitError(
                f"{descriptor.name} needs tiles of at least {least} pixels a side for {width} x {height} pixels"
            )
        sizes.append(_even(length, size, descriptor))
    return Layout(_cut(height, sizes[0], descriptor), _cut(width, sizes[1], descriptor))


def _even(length: int, size: int, descriptor: Descriptor) -> int:
    """The least size that covers `length` with as many tiles as `size` does."""
    axis = _cut(length, size, descriptor)
    count, multiple = len(axis.starts), descriptor.size_multiple
    needed = -(-(length + (count - 1) * axis.overlap) // count)
    return min(size, -(-needed // multiple) * multiple)


def _cut(length: int, size: int, descriptor: Descriptor) -> Axis:
    """Tiles whose overlap is the network's context and a ramp on both sides of a seam, but at most half a tile.

    The ramp is wide for a network that uses statistics of the whole image, which differ from tile to tile.
    """
    if size >= length:
        return _axis(length, length, 0, 1, 1)
    ramp = EXACT_RAMP if descriptor.tiling == "exact" else max(EXACT_RAMP, size // 8)
    overlap = min(2 * (descriptor.halo + ramp), size // 2)
    return _axis(length, size, overlap, ramp, descriptor.size_multiple)


def _axis(length: int, size: int, overlap: int, ramp: int, multiple: int) -> Axis:
    """Tiles that start at multiples of `multiple`, so that a network with strides sees the grid of the whole."""
    if size >= length:
        return Axis(length, length, 0, 1, (0,))
    units, tile = length // multiple, size // multiple
    stride = max(1, tile - -(-overlap // multiple))
    gaps = -(-(units - tile) // stride)
    starts = tuple(multiple * (index * (units - tile) // gaps) for index in range(gaps + 1))
    return Axis(length, size, overlap, ramp, starts)
