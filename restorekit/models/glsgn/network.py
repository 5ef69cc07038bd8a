"""GLSGN, the Global-Local Stepwise Generative Network, for reflection, rain and haze at 3840 x 2160 and above.

Feng, Ji, Pei, Chen, Zhang and Lu, "Global-Local Stepwise Generative Network for Ultra High-Resolution Image
Restoration", arXiv 2207.08808, 2022. The paper's figures fix the paths and their links; everything else is the default
design of glsgn.md among the papers, whose section numbers are given.
"""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.models.glsgn.grid import Grid
from restorekit.models.glsgn.options import GRIDS, STREAMED_FROM, Design, Path1Grid, check_options, check_size, describe
from restorekit.models.glsgn.options import streamed_bytes as bytes_to_stream
from restorekit.models.glsgn.pathway import (
    Alone,
    GlobalPath,
    GlsgnResult,
    LocalPath,
    Norm,
    Restored,
    plainly,
    recomputing,
)
from restorekit.models.glsgn.pyramid import Fusion, scales, up
from restorekit.models.glsgn.streaming import Plan, stream


class GLSGN(nn.Module):
    """The default design of glsgn.md sections 5 and 6, or one of the networks it is held against.

    `width`: channels at full scale, 32 in the default design. `recompute`: activations are computed again in the
    backward pass. Readings of the figures: `path1_grid` rows x columns of path 1 (3), `f_tap` the decoder stage whose
    features are handed on (5.3), `gate` "residual" for E (1 + A) (5.4), `h3_source` (4), `output` "direct" without the
    input added (5), `detach` stops the gradients of what is handed on (7). `overlap`, which the paper has not: a patch
    sees as many pixels of its neighbours while it is encoded, and the decoder takes all patches as one region, so that
    borders between patches leave no seams. Ablations: `global_path`, `feature_links`
    (F_1, F_2), `attention_links` (A_g, A_1, A_2), `patch_norm`, `fusion` "finest" for B_1 alone, `order`
    "coarse_first" for paths g, 3, 2, 1. `init` "he" draws the 3x3 convolutions for ReLU and `zero_last` starts from
    output = input: for short trainings. `design`: "stepwise", or the backbone of one path alone, on the frame
    ("whole"), on the patches of path 1 ("tiles"), on the frame at a quarter of the scale, made large again ("reduced")
    or with only what it changed made large ("reduced_detail"). Raises RestorekitError for values that cannot be.
    """

    def __init__(
        self,
        width: int = 32,
        design: Design = "stepwise",
        path1_grid: Path1Grid = "4x4",
        global_path: bool = True,
        feature_links: bool = True,
        attention_links: bool = True,
        patch_norm: Norm = "joint",
        fusion: Literal["pyramid", "finest"] = "pyramid",
        order: Literal["fine_first", "coarse_first"] = "fine_first",
        f_tap: Literal["last", "middle"] = "last",
        h3_source: Literal["h3", "l"] = "h3",
        output: Literal["residual", "direct"] = "residual",
        gate: Literal["plain", "residual"] = "plain",
        detach: bool = False,
        overlap: int = 0,
        recompute: bool = False,
        init: Literal["framework", "he"] = "framework",
        zero_last: bool = False,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {
            name: value for name, value in locals().items() if name not in ("self", "__class__")
        }
        check_options(self.options)
        self.design, self.order, self.f_tap, self.detach = design, order, f_tap, detach
        self.attention_links, self.recompute = attention_links, recompute
        residual = output == "residual"
        if design == "stepwise":
            self._build_paths(width, residual)
        else:
            grid = GRIDS[path1_grid] if design == "tiles" else Grid(1, 1, (1, 1))
            self.alone = Alone(width, Grid(grid.rows, grid.columns, (1, 1)), residual)
        if init == "he":
            for module in self.modules():
                if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.out_channels > 3:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if zero_last:
            for module in self.modules():
                if isinstance(module, nn.Conv2d) and module.out_channels == 3:
                    nn.init.zeros_(module.weight)
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.descriptor = describe(width, design)

    def _build_paths(self, width: int, residual: bool) -> None:
        options = self.options
        grids = [GRIDS[options["path1_grid"]], Grid(2, 2, (1, 2)), Grid(2, 1, (2, 1))]
        if options["overlap"]:
            grids = [replace(one, joined=(one.rows, one.columns), overlap=options["overlap"]) for one in grids]
        self.coarse = GlobalPath(width, residual) if options["global_path"] else None
        self.local = nn.ModuleList(
            LocalPath(width, grid, options["patch_norm"], residual, options["gate"] == "residual") for grid in grids
        )
        tapped = width if self.f_tap == "last" else 2 * width
        self.global_links = nn.ModuleList(nn.Conv2d(tapped, width, 1) for _ in grids if options["global_path"])
        self.feature_links = nn.ModuleList(
            _feature_link(width, self.f_tap, self.order) for _ in range(2 if options["feature_links"] else 0)
        )
        self.fusion = Fusion(width, options["h3_source"]) if options["fusion"] == "pyramid" else None

    def forward(self, image: Tensor) -> GlsgnResult:
        """Restores `image` (B, 3, H, W) in [0, 1]; one with a side below 64 pixels raises RestorekitError."""
        check_size(image)
        call = recomputing if self.recompute else plainly
        image = image.contiguous(memory_format=torch.channels_last)
        if self.design != "stepwise":
            return GlsgnResult(self._alone(image, call), (), None, ())
        frames = scales(image)
        reduced = None if self.coarse is None else self.coarse(frames[2], self.f_tap, call)
        found: dict[int, Restored] = {}
        previous: Restored | None = None
        for step, number in enumerate(self.steps()):
            links = [] if reduced is None else [self.global_links[number](self.handed(reduced.feature))]
            if previous is not None and self.feature_links:
                links.append(self.feature_links[step - 1](self.handed(previous.feature)))
            heard = self.heard(None if reduced is None else reduced.gate, None if previous is None else previous.gate)
            previous = found[number] = self.local[number](frames[number], links, heard, self.f_tap, call)
        paths = tuple(found[number].image for number in range(3))
        restored = paths[0]
        if self.fusion is not None:
            restored = self.fusion(*paths, None if reduced is None else reduced.image)
        gates = [path.gate.detach() for path in ([] if reduced is None else [reduced])]
        gates += [found[number].gate.detach() for number in range(3)]
        return GlsgnResult(restored, paths, None if reduced is None else reduced.image, tuple(gates))

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image`, float32 (B, 3, H, W) sRGB in [0, 1], restored and clamped to [0, 1]; no gradient is kept.

        GLSGN takes no mask: one that is given changes nothing. An image with a side below 64 raises RestorekitError.
        """
        if self._is_large(image):
            return self.restore_streamed(image)
        with torch.no_grad():
            return self(image).restored.clamp_(0, 1)

    def look(self, image: Tensor) -> GlsgnResult:
        """All that is found in one frame (1, 3, H, W), without gradients."""
        check_size(image)
        with torch.no_grad():
            return stream(self, image, Plan(hold=True)) if self._is_large(image) else self(image)

    def patch_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the patches of path 1 in a frame of `size`; other paths' borders are among theirs."""
        grid = GRIDS[self.options["path1_grid"]]
        height, width = grid.padded(*size)
        return height // grid.rows, width // grid.columns

    def _is_large(self, image: Tensor) -> bool:
        """Whether a frame is streamed though it may fit whole: for less memory and time."""
        return self.descriptor.streams and image.shape[-2] * image.shape[-1] > STREAMED_FROM

    def restore_streamed(self, image: Tensor, memory_bytes: int | None = None) -> Tensor:
        """What `restore` gives, with patches and strips through the device in turn; see streaming.py.

        `memory_bytes` is what may be taken over what is loaded: where the map at full scale does not fit, it is made
        twice, for a tenth more time. Raises RestorekitError for a frame below 64 pixels, and for designs that see the
        frame in one piece.
        """
        check_size(image)
        if not self.descriptor.streams:
            raise RestorekitError(f"design {self.design} of glsgn cannot be streamed: use restore")
        height, width = image.shape[-2:]
        hold = memory_bytes is None or bytes_to_stream(self.options, height, width, hold=True) <= memory_bytes
        with torch.no_grad():
            frames = [stream(self, frame, Plan(hold)).restored.clamp_(0, 1) for frame in image.split(1)]
        return torch.cat(frames) if len(frames) > 1 else frames[0]

    def streamed_bytes(self, height: int, width: int) -> int:
        """The least memory that `restore_streamed` needs for an image in float32, over what is loaded."""
        return bytes_to_stream(self.options, height, width, hold=False)

    def steps(self) -> tuple[int, ...]:
        """The local paths, 0 for path 1, in the order in which they are computed."""
        return (0, 1, 2) if self.order == "fine_first" else (2, 1, 0)

    def handed(self, value: Tensor) -> Tensor:
        """What a path hands on; its gradient stops here with `detach`."""
        return value.detach() if self.detach else value

    def heard(self, reduced: Tensor | None, previous: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The gates A_g and A_{k-1} as a path hears them."""
        if not self.attention_links:
            return None, None
        return tuple(None if gate is None else self.handed(gate) for gate in (reduced, previous))  # type: ignore[return-value]

    def _alone(self, image: Tensor, call: Any) -> Tensor:
        if self.design in ("whole", "tiles"):
            return self.alone(image, call)
        full, half, small = scales(image)
        restored = self.alone(small, call)
        sizes = [(one.shape[-2], one.shape[-1]) for one in (half, full)]
        if self.design == "reduced":
            return up(up(restored, sizes[0]), sizes[1])
        return image + up(up(restored - small, sizes[0]), sizes[1])


def _feature_link(width: int, tap: str, order: str) -> nn.Conv2d:
    """F_{k-1} as it is added to path k; the middle stage's features have that path's scale already (5.3)."""
    if tap == "middle":
        return nn.Conv2d(2 * width, width, 1)
    return nn.Conv2d(width, width, 3, stride=2 if order == "fine_first" else 1, padding=1)
