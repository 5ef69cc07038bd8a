"""Cuts a padded frame into patches and joins patches to a frame, row by row and to the bit (glsgn.md 5.2)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.config.glsgn import GRANULE


@dataclass(frozen=True)
class Grid:
    """A frame's `rows` x `columns` patches; blocks of `joined` patches form regions in the decoder.

    `overlap`: pixels of the neighbours around each patch in the encoder, a multiple of 4. At the frame's border the
    last pixels are repeated.
    """

    rows: int
    columns: int
    joined: tuple[int, int]
    overlap: int = 0

    @property
    def regions(self) -> tuple[int, int]:
        """(rows, columns) of regions."""
        return self.rows // self.joined[0], self.columns // self.joined[1]

    @property
    def num_regions(self) -> int:
        return self.regions[0] * self.regions[1]

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) of a padded frame."""
        return multiple(height, GRANULE * self.rows), multiple(width, GRANULE * self.columns)

    def cut(self, frames: Tensor, scale: int = 1) -> Tensor:
        """Patches (B * rows * columns, C, h, w), with their overlap, of padded `frames` (B, C, H, W).

        The frames are at 1 / `scale` of the path's scale.
        """
        if not self.overlap:
            return cut(frames, self.rows, self.columns)
        margin, (height, width) = self.overlap // scale, frames.shape[-2:]
        high, wide = height // self.rows, width // self.columns
        if torch.onnx.is_in_onnx_export():  # which takes no unfolding of a free size
            return self._windows(self.framed(frames, scale), (high, wide), margin)
        framed = self.framed(frames, scale).permute(0, 2, 3, 1)
        windows = framed.unfold(1, high + 2 * margin, high).unfold(2, wide + 2 * margin, wide)
        return windows.permute(0, 1, 2, 4, 5, 3).flatten(0, 2).permute(0, 3, 1, 2)

    def _windows(self, framed: Tensor, patch: tuple[int, int], margin: int) -> Tensor:
        """The overlapping patches of one frame, slice by slice."""
        rows, columns = (
            [slice(number * side, (number + 1) * side + 2 * margin) for number in range(count)]
            for side, count in zip(patch, (self.rows, self.columns), strict=True)
        )
        return torch.cat([framed[..., across, along] for across in rows for along in columns])

    def framed(self, frames: Tensor, scale: int = 1) -> Tensor:
        """Padded `frames`, at 1 / `scale` of the path's scale, with the border repeated outwards by the overlap."""
        margin = self.overlap // scale
        with _own_precision(frames):
            return F.pad(frames, (margin,) * 4, mode="replicate") if margin else frames

    def inner(self, patches: Tensor) -> Tensor:
        """Maps of patches, at a quarter of the path's scale, without the overlap."""
        margin = self.overlap // GRANULE
        return patches[..., margin:-margin, margin:-margin] if margin else patches

    def to_regions(self, patches: Tensor) -> Tensor:
        """Regions (B * regions, C, h', w') of joined patches, row by row."""
        rows, columns = self.regions
        frames = join(patches, self.rows, self.columns)
        return cut(frames, rows, columns)

    def join(self, regions: Tensor) -> Tensor:
        """Padded frames of joined regions."""
        return join(regions, *self.regions)

    def window(self, size: tuple[int, int], place: tuple[int, int], overlap: int = 0) -> tuple[range, range]:
        """Rows and columns of the patch at `place` in a padded frame of `size`, widened by `overlap` on each side."""
        sides = ((place[0], size[0] // self.rows), (place[1], size[1] // self.columns))
        rows, columns = (range(number * side - overlap, (number + 1) * side + overlap) for number, side in sides)
        return rows, columns

    def patches_of(self, region: int) -> Iterator[list[tuple[int, int]]]:
        """(row, column) of the patches of a region, one list for each row."""
        top, left = divmod(region, self.regions[1])
        for row in range(top * self.joined[0], (top + 1) * self.joined[0]):
            first = left * self.joined[1]
            yield [(row, column) for column in range(first, first + self.joined[1])]


def cut(frames: Tensor, rows: int, columns: int) -> Tensor:
    """Patches (B rows columns, C, h, w) of (B, C, rows h, columns w), row by row; channels stay last in memory."""
    if rows == columns == 1:
        return frames
    batch, channels, height, width = frames.shape
    split = frames.permute(0, 2, 3, 1).reshape(batch, rows, height // rows, columns, width // columns, channels)
    patches = split.permute(0, 1, 3, 2, 4, 5).reshape(-1, height // rows, width // columns, channels)
    return patches.permute(0, 3, 1, 2)


def join(patches: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `cut`."""
    if rows == columns == 1:
        return patches
    count, channels, height, width = patches.shape
    split = patches.permute(0, 2, 3, 1).reshape(count // (rows * columns), rows, columns, height, width, channels)
    frames = split.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows * height, columns * width, channels)
    return frames.permute(0, 3, 1, 2)


def pad(frames: Tensor, size: tuple[int, int], mode: str = "reflect") -> Tensor:
    """`frames` (B, C, H, W) extended at the bottom and the right to `size`, in the same precision."""
    below, right = size[0] - frames.shape[-2], size[1] - frames.shape[-1]
    if not below and not right:
        return frames
    with _own_precision(frames):
        return F.pad(frames, (0, right, 0, below), mode=mode)


def crop(frames: Tensor, size: tuple[int, int]) -> Tensor:
    return frames[..., : size[0], : size[1]]


def quarter(size: tuple[int, int]) -> tuple[int, int]:
    """The size at a quarter of the scale, rounded up."""
    return (size[0] + 3) // 4, (size[1] + 3) // 4  # in ONNX, division of a negative number rounds up


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """`maps` resized to `size`, bilinearly with align_corners False; maps of this size are returned unchanged."""
    if tuple(maps.shape[-2:]) == size:
        return maps
    with _own_precision(maps):
        return F.interpolate(maps, size=list(size), mode="bilinear", align_corners=False)


def resized_window(maps: Tensor, size: tuple[int, int], padded: tuple[int, int], rows: range, columns: range) -> Tensor:
    """`pad(resize(maps, size), padded)` at `rows` and `columns` for (1, C, h, w), without computing the rest.

    Outside the padded frame, border pixels are repeated.
    """
    values = maps.permute(0, 2, 3, 1)[0]
    window = _lerp(values, _source(columns, size[1], padded[1], maps.device), size[1], 1)
    window = _lerp(window, _source(rows, size[0], padded[0], maps.device), size[0], 0)
    return window.permute(2, 0, 1)[None]


def at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype is torch.float64 else values.float()


def _own_precision(maps: Tensor) -> AbstractContextManager[object]:
    """A context without autocast for 16-bit maps, which autocast on a CPU would pad and resize in float32."""
    if maps.dtype in (torch.float32, torch.float64):
        return nullcontext()
    return torch.autocast(maps.device.type, enabled=False)


def _source(places: range, length: int, padded: int, device: torch.device) -> Tensor:
    """The source positions of `places` on an axis that reflection extends from `length` to `padded`."""
    index = torch.arange(places.start, places.stop, device=device).clamp_(0, padded - 1)
    return torch.where(index < length, index, 2 * (length - 1) - index)


def _lerp(values: Tensor, index: Tensor, length: int, dim: int) -> Tensor:
    """(h, w, C) interpolated linearly along `dim` at the places `index` of an axis of `length`, as in torch."""
    have = values.shape[dim]
    if have == length:
        return values.index_select(dim, index)
    places = index.to(torch.float64 if values.dtype is torch.float64 else torch.float32)
    source = ((places + 0.5) * (have / length) - 0.5).clamp_min(0.0)
    low = source.long()
    share = (source - low).to(values.dtype).view((-1, 1) if dim else (-1, 1, 1))
    return values.index_select(dim, low).lerp_(values.index_select(dim, (low + 1).clamp_max(have - 1)), share)


def multiple(length: int, unit: int) -> int:
    """`length` rounded up to a multiple of `unit`."""
    return (length + unit - 1) // unit * unit
