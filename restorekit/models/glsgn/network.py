"""GLSGN, the Global-Local Stepwise Generative Network, for reflection, rain and haze at 3840 x 2160 and above.

Feng, Ji, Pei, Chen, Zhang and Lu, "Global-Local Stepwise Generative Network for Ultra High-Resolution Image
Restoration", arXiv 2207.08808, 2022. The paper's figures fix the paths and their links. The rest is the default design
of glsgn.md among the papers; section numbers refer to glsgn.md.
"""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from restorekit.config.glsgn import MIN_SIZE, TASKS, GlsgnOptions
from restorekit.errors import RestorekitError
from restorekit.models.descriptor import Descriptor, check_size
from restorekit.models.glsgn.grid import Grid
from restorekit.models.glsgn.pathway import (
    Alone,
    Call,
    GlobalPath,
    GlsgnResult,
    LocalPath,
    Pathways,
    ResidualBlock,
    Restored,
    plainly,
    recomputing,
)
from restorekit.models.glsgn.pyramid import Fusion, scales, up
from restorekit.models.glsgn.streaming import StreamSettings, stream, stream_tiles
from restorekit.models.glsgn.streaming import streamed_bytes as bytes_to_stream

GRIDS = (Grid(4, 4, (2, 2)), Grid(2, 2, (1, 2)), Grid(2, 1, (2, 1)))  # of paths 1, 2 and 3
STREAMED = ("stepwise", "tiles")  # designs that can be streamed
STREAMED_FROM = 2**22  # pixels: in larger frames the arithmetic hides the overhead of each patch
HALO = 64  # pixels, for a frame that must be cut into tiles: statistics of a tile differ from the frame's
WHOLE_HALO = 72  # pixels; the context of the backbone is 70


class GLSGN(nn.Module):
    """The default design of glsgn.md sections 5 and 6, or one of the networks for comparison."""

    def __init__(self, options: GlsgnOptions) -> None:
        super().__init__()
        self.options, self.design, width = options, options.design, options.width
        if options.design == "stepwise":
            self._build_paths(options)
        else:
            rows, columns = (GRIDS[0].rows, GRIDS[0].columns) if options.design == "tiles" else (1, 1)
            self.alone = Alone(width, Grid(rows, columns, (1, 1)))
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                module.negative_slope = options.negative_slope
        if options.zero_last:
            for module in self.modules():
                if isinstance(module, nn.Conv2d) and module.out_channels == 3:
                    nn.init.zeros_(module.weight)
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.descriptor = describe(width, options.design)

    def _build_paths(self, options: GlsgnOptions) -> None:
        width, overlap, grids = options.width, options.overlap, GRIDS
        if overlap:
            grids = tuple(replace(one, joined=(one.rows, one.columns), overlap=overlap) for one in grids)  # type: ignore[assignment]
        self.coarse = GlobalPath(width) if options.global_path else None
        self.local = nn.ModuleList(LocalPath(width, grid, options.patch_norm) for grid in grids)
        self.global_links = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in grids if options.global_path)
        self.feature_links = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(2 if options.feature_links else 0)
        )
        self.fusion = Fusion(width) if options.fusion == "pyramid" else None

    def pathways(self) -> Pathways:
        """The parts of the stepwise design."""
        return Pathways(
            self.coarse,
            cast(list[LocalPath], list(self.local)),
            list(self.global_links),
            cast(list[nn.Conv2d], list(self.feature_links)),
            self.options.attention_links,
            self.fusion,
        )

    def forward(self, image: Tensor) -> GlsgnResult:
        """The result for `image` (B, 3, H, W) in [0, 1]; a side below 64 pixels raises RestorekitError."""
        check_size(image, "glsgn", MIN_SIZE)
        call = recomputing if self.options.recompute else plainly
        image = image.contiguous(memory_format=torch.channels_last)
        if self.design != "stepwise":
            return GlsgnResult(self._alone(image, call), (), None, ())
        parts, frames = self.pathways(), scales(image)
        reduced = None if parts.coarse is None else parts.coarse(frames[2], call)
        found: list[Restored] = []
        for number, path in enumerate(parts.local):
            previous = found[-1] if found else None
            links = [] if reduced is None else [parts.global_links[number](reduced.feature)]
            if previous is not None and parts.feature_links:
                links.append(parts.feature_links[number - 1](previous.feature))
            heard = parts.heard(None if reduced is None else reduced.gate, None if previous is None else previous.gate)
            found.append(path(frames[number], links, heard, call))
        return parts.result(reduced, [path.image for path in found], [path.gate for path in found])

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image`, float32 (B, 3, H, W) sRGB in [0, 1], restored and clamped to [0, 1]; no gradient is kept.

        GLSGN ignores `mask`. A side below 64 pixels raises RestorekitError.
        """
        if self._is_large(image):
            return self.restore_streamed(image)
        with torch.no_grad():
            return self(image).restored.clamp_(0, 1)

    def look(self, image: Tensor) -> GlsgnResult:
        """The whole result for one frame (1, 3, H, W), without gradients."""
        check_size(image, "glsgn", MIN_SIZE)
        with torch.no_grad():
            return self.stream(image, StreamSettings(hold=True)) if self._is_large(image) else self(image)

    def patch_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of path 1's patches in a frame of `size`; their borders include those of the other paths."""
        height, width = GRIDS[0].padded(*size)
        return height // GRIDS[0].rows, width // GRIDS[0].columns

    def _is_large(self, image: Tensor) -> bool:
        """Whether a frame is streamed even if it would fit whole: streaming takes less memory and time."""
        return self.descriptor.streams and image.shape[-2] * image.shape[-1] > STREAMED_FROM

    def restore_streamed(self, image: Tensor, memory_bytes: int | None = None) -> Tensor:
        """The result of `restore`, computed patch by patch and strip by strip; see streaming.py.

        `memory_bytes` limits memory on top of the loaded weights. If the map at full scale does not fit, the map is
        computed twice, in a tenth more time. Raises RestorekitError for a frame below 64 pixels, and for designs that
        cannot be streamed.
        """
        check_size(image, "glsgn", MIN_SIZE)
        if not self.descriptor.streams:
            raise RestorekitError(f"design {self.design} of glsgn cannot be streamed: use restore")
        height, width = image.shape[-2:]
        hold = memory_bytes is None or bytes_to_stream(self.options, height, width, hold=True) <= memory_bytes
        with torch.no_grad():
            frames = [self.stream(frame, StreamSettings(hold)).restored.clamp_(0, 1) for frame in image.split(1)]
        return torch.cat(frames) if len(frames) > 1 else frames[0]

    def streamed_bytes(self, height: int, width: int) -> int:
        """The least memory that `restore_streamed` needs for an image in float32, on top of the loaded weights."""
        return bytes_to_stream(self.options, height, width, hold=False)

    def stream(self, frame: Tensor, settings: StreamSettings) -> GlsgnResult:
        """The result of `forward` for one frame (1, 3, H, W), in less memory; for designs that can be streamed."""
        if self.design == "tiles":
            return GlsgnResult(stream_tiles(self.alone, frame), (), None, ())
        return stream(self.pathways(), frame, settings)

    def _alone(self, image: Tensor, call: Call) -> Tensor:
        if self.design in ("whole", "tiles"):
            return self.alone(image, call)
        full, half, small = scales(image)
        restored = self.alone(small, call)
        sizes = [(one.shape[-2], one.shape[-1]) for one in (half, full)]
        if self.design == "reduced":
            return up(up(restored, sizes[0]), sizes[1])
        return image + up(up(restored - small, sizes[0]), sizes[1])


def describe(width: int, design: str) -> Descriptor:
    """The descriptor of a network of `width` channels."""
    whole = design == "whole"
    return Descriptor(
        name="glsgn",
        tasks=TASKS,
        takes_mask=False,
        min_size=MIN_SIZE,
        size_multiple=4 if whole else 1,
        tiling="exact" if whole else "approximate",
        halo=WHOLE_HALO if whole else HALO,
        bytes_per_pixel=_bytes_per_pixel(width, design),
        streams=design in STREAMED,
    )


def _bytes_per_pixel(width: int, design: str) -> int:
    """Peak memory of `forward`, from the float32 values alive at once: three maps and an injection in an encoder."""
    if design == "stepwise":
        return round(28.5 * width + 20)
    if design in ("whole", "tiles"):
        return round(19 * width + 26)
    return max(56, round(1.2 * width + 30))
