"""Runs GLSGN patch by patch and strip by strip: the result of `forward`, with at most one full-frame map at a time.

A Patch Norm needs statistics of the whole frame, so the decoder stops at each norm: a stage's maps are held, region by
region, until their mean and variance are known. If memory is short, the last stage, the only stage at full scale, is
computed twice instead of held; that stage is an eighth of the arithmetic. Stages run in strips of rows, with a margin
that is computed and dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.config.glsgn import GRANULE, GlsgnOptions
from restorekit.models.glsgn.grid import crop, pad, quarter, resized_window
from restorekit.models.glsgn.norm import Gathered, PatchNorm
from restorekit.models.glsgn.pathway import Alone, GlsgnResult, LocalPath, Pathways, Stage, gated, hear, plainly
from restorekit.models.glsgn.pyramid import scales

STRIP_PIXELS = 2**17  # per strip: the allocator reuses maps of 16 MiB; larger maps get new pages each time


@dataclass(frozen=True)
class StreamSettings:
    """Settings of streaming: whether the last stage is held or computed twice, and the size of a strip."""

    hold: bool
    strip_pixels: int = STRIP_PIXELS


@dataclass(frozen=True)
class Streamed:
    """The result of a streamed path: the image, the feature link for the next path, and the gate."""

    image: Tensor
    link: Tensor | None
    gate: Tensor


class Strips:
    """Computes any rows of a decoder stage from the maps of the stage below."""

    def __init__(self, stage: Stage, below: Gathered, settings: StreamSettings) -> None:
        self._stage, self._below, self._settings = stage, below, settings
        self._scale = 1 if stage.scale is None else 2
        # Rows that a strip needs on each side of the map below, for four convolutions and a transposed convolution.
        self._margin = 4 if stage.scale is None else 3

    def rows(self, region: int, under: Tensor, first: int, last: int) -> Tensor:
        """Rows [first, last) of the stage's output for a region whose map before the last norm is `under`."""
        scale = self._scale
        top = max(0, first // scale - self._margin)
        bottom = min(under.shape[2], -(-last // scale) + self._margin)
        made = self._stage(self._below(region, under[:, :, top:bottom]))
        return made[:, :, first - scale * top : last - scale * top]

    def gather(self, region: int, under: Tensor, norm: Gathered, hold: bool) -> Tensor:
        """The stage's output, or `under` without `hold`; the output is added to the statistics of the next `norm`."""
        height, width = self._scale * under.shape[2], self._scale * under.shape[3]
        held: Tensor | None = None
        for first, last in strips(height, width, self._settings):
            made = self.rows(region, under, first, last)
            norm.add(region, made)
            if hold:
                if held is None:
                    held = _empty_like(made, (height, width))
                held[:, :, first:last] = made
        return under if held is None else held


def _empty_like(part: Tensor, size: tuple[int, int]) -> Tensor:
    shape = (1, part.shape[1], *size)
    return torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)


def strips(height: int, width: int, settings: StreamSettings) -> Iterator[tuple[int, int]]:
    """(first, last) rows of strips that begin at even rows."""
    rows = max(2, settings.strip_pixels // width // 2 * 2)
    for first in range(0, height, rows):
        yield first, min(height, first + rows)


def streamed_bytes(options: GlsgnOptions, height: int, width: int, hold: bool) -> int:
    """Peak memory of a streamed frame, from the tensors alive at once at 4K and 8K.

    Maps grow with the frame, strips do not.
    """
    channels = options.width
    if options.design == "tiles":
        per_pixel = 1.3 * channels + 32
    else:
        held = 6.7 if options.overlap else 6.2  # an overlap makes the frame one region, so working maps are larger
        per_pixel = max(100.0, (held if hold else 4.2) * channels + 16)
    return round(height * width * per_pixel) + 14 * channels * STRIP_PIXELS


def stream(parts: Pathways, image: Tensor, settings: StreamSettings) -> GlsgnResult:
    """The result of `forward` for one frame (1, 3, H, W) in [0, 1]."""
    frames = scales(image)
    reduced = None if parts.coarse is None else parts.coarse(frames[2], plainly)
    found: list[Streamed] = []
    previous: Streamed | None = None
    for number, path in enumerate(parts.local):
        links = [] if reduced is None else [parts.global_links[number](reduced.feature)]
        if previous is not None and previous.link is not None:
            links.append(previous.link)
        handing = parts.feature_links[number] if number < len(parts.feature_links) else None
        gates = parts.heard(None if reduced is None else reduced.gate, None if previous is None else previous.gate)
        made = stream_path(path, frames[number], links, gates, handing, settings)
        found.append(Streamed(made.image, None, made.gate))  # drops the link; `previous` keeps it for the next path
        previous = made
        del made, links
    return parts.result(reduced, [path.image for path in found], [path.gate for path in found])


def stream_path(
    path: LocalPath,
    frame: Tensor,
    links: list[Tensor],
    gates: tuple[Tensor | None, Tensor | None],
    handing: nn.Conv2d | None,
    settings: StreamSettings,
) -> Streamed:
    """The result of `path` for one frame (1, 3, H, W); `handing` is the convolution of F_k for the next path."""
    size, grid = (frame.shape[-2], frame.shape[-1]), path.grid
    count = grid.num_regions
    norms = [Gathered(cast(PatchNorm, norm), count) for norm in path.decoder.norms] or [Gathered(None, count)] * 3
    gate = frame.new_zeros((1, 1, *(side // 4 for side in grid.padded(*size))))
    below = (Gathered(None, count), *norms)
    first, middle, last = (Strips(cast(Stage, path.decoder.stages[n]), below[n], settings) for n in range(3))
    maps: list[Tensor] = []
    for region, encoded in enumerate(_encoded_regions(path, frame, links, hear(gates, frame, grid), gate)):
        maps.append(first.gather(region, encoded, norms[0], hold=True))
        del encoded
    for region in range(count):
        maps[region] = middle.gather(region, maps[region], norms[1], hold=True)
    hold = settings.hold and len(path.decoder.norms) > 0  # without norms no statistics are needed
    for region in range(count if len(path.decoder.norms) else 0):
        maps[region] = last.gather(region, maps[region], norms[2], hold)
    image, link = _last_rows(path, maps, None if hold else last, norms[2], frame, handing, settings)
    return Streamed(image.add_(frame), link, crop(gate, quarter(size)))


def _encoded_regions(
    path: LocalPath, frame: Tensor, links: list[Tensor], heard: Tensor, gate: Tensor
) -> Iterator[Tensor]:
    """The gated maps of each region, patch by patch; the patches' gates are written into `gate`."""
    size, grid = (frame.shape[-2], frame.shape[-1]), path.grid
    padded = grid.padded(*size)
    framed, heard = grid.framed(pad(frame, padded)), grid.framed(heard, GRANULE)
    small, margin = (gate.shape[-2], gate.shape[-1]), grid.overlap // GRANULE
    high, wide = small[0] // grid.rows, small[1] // grid.columns
    for region in range(grid.num_regions):
        joined: Tensor | None = None
        for place in chain.from_iterable(grid.patches_of(region)):
            injected: Tensor | None = None
            for link in links:
                window = resized_window(link, size, padded, *grid.window(padded, place, grid.overlap))
                injected = window if injected is None else injected.add_(window)
            patch = _part(framed, grid.window(padded, place, grid.overlap), grid.overlap)
            encoded = path.encoder(patch.contiguous(memory_format=torch.channels_last), injected, plainly)
            own = path.attention(encoded, _part(heard, grid.window(small, place, margin), margin))
            _part(gate, grid.window(small, place)).copy_(grid.inner(own))
            if joined is None:
                joined = _empty_like(encoded, (high * grid.joined[0], wide * grid.joined[1]))
            top, left = place[0] % grid.joined[0] * high, place[1] % grid.joined[1] * wide
            joined[:, :, top : top + high, left : left + wide] = grid.inner(gated(encoded, own))
        assert joined is not None
        yield joined


def _part(maps: Tensor, window: tuple[range, range], shift: int = 0) -> Tensor:
    """`maps` at the rows and columns of `window`, shifted down and right by `shift`."""
    rows, columns = (slice(one.start + shift, one.stop + shift) for one in window)
    return maps[..., rows, columns]


def _last_rows(
    path: LocalPath,
    maps: list[Tensor],
    stage: Strips | None,
    norm: Gathered,
    frame: Tensor,
    handing: nn.Conv2d | None,
    settings: StreamSettings,
) -> tuple[Tensor, Tensor | None]:
    """The last convolution's image, cropped, and the link; `maps` are the last stage's output, or input of `stage`."""
    (rows, columns), size = path.grid.regions, (frame.shape[-2], frame.shape[-1])
    scale = 1 if stage is None else 2
    height, width = scale * maps[0].shape[2], scale * maps[0].shape[3]
    image = torch.empty_like(frame)
    links = None if handing is None else _Links(handing, size)
    for row in range(rows):
        for first, last in strips(height, width * columns, settings):
            above, below = max(0, first - 1), min(height, last + 1)
            parts, kept = [], []
            for region in range(row * columns, (row + 1) * columns):
                under = maps[region]
                made = under[:, :, above:below] if stage is None else stage.rows(region, under, above, below)
                features = norm(region, made)
                parts.append(path.last(features)[:, :, first - above : last - above])
                if links is not None:
                    kept.append(features[:, :, first - above : last - above])
            top = row * height + first
            place = image[:, :, top : top + last - first]
            place.copy_(torch.cat(parts, dim=3)[:, :, : place.shape[2], : size[1]])
            if links is not None:
                links.add(torch.cat(kept, dim=3)[:, :, : max(0, size[0] - top), : size[1]])
    return image, None if links is None else links.finished()


class _Links:
    """Convolves F_k for the next path from strips that arrive from top to bottom; keeps one row of the last strip."""

    def __init__(self, conv: nn.Conv2d, size: tuple[int, int]) -> None:
        self._conv, self._height = conv, size[0]
        self._made: Tensor | None = None
        self._above: Tensor | None = None
        self._seen = 0

    def add(self, features: Tensor) -> None:
        """Convolves the next rows; every strip but the frame's last has an even number of rows."""
        if not features.shape[2]:
            return  # padding below the frame
        above = torch.zeros_like(features[:, :, :1]) if self._above is None else self._above
        odd_end = self._seen + features.shape[2] == self._height and features.shape[2] % 2
        rows = torch.cat([above, features, *([torch.zeros_like(above)] if odd_end else [])], dim=2)
        self._above = features[:, :, -1:].clone()
        made = F.conv2d(rows, self._conv.weight, self._conv.bias, stride=2, padding=(0, 1))
        if self._made is None:
            self._made = _empty_like(made, (-(-self._height // 2), made.shape[3]))
        first = self._seen // 2
        self._made[:, :, first : first + made.shape[2]] = made
        self._seen += features.shape[2]

    def finished(self) -> Tensor:
        assert self._made is not None
        return self._made


def stream_tiles(alone: Alone, frame: Tensor) -> Tensor:
    size, grid = (frame.shape[-2], frame.shape[-1]), alone.grid
    padded = pad(frame, grid.padded(*size))
    height, width = padded.shape[-2] // grid.rows, padded.shape[-1] // grid.columns
    restored = torch.empty_like(padded)
    for top in range(0, padded.shape[-2], height):
        for left in range(0, padded.shape[-1], width):
            window = (..., slice(top, top + height), slice(left, left + width))
            features = alone.decoder(alone.encoder(padded[window], None, plainly), 1, plainly)
            restored[window] = alone.last(features)
    return crop(restored, size).add_(frame)
