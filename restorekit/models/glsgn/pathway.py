"""GLSGN's pathways (glsgn.md 5): encoder, attention, decoder with Patch Norm, and the paths built from these."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from restorekit.config.glsgn import Norm
from restorekit.models.glsgn.grid import GRANULE, Grid, at_least_float32, crop, multiple, pad, quarter, resize
from restorekit.models.glsgn.norm import PatchNorm
from restorekit.models.glsgn.pyramid import Fusion


class GlsgnResult(NamedTuple):
    """GLSGN's outputs: float32 images around [0, 1], not clamped. A design without paths has `restored` alone."""

    restored: Tensor  # B_out (B, 3, H, W)
    paths: tuple[Tensor, ...]  # B_1, B_2, B_3 at scale 1, 1/2, 1/4
    reduced: Tensor | None  # B_g at scale 1/4; None without a global path
    gates: tuple[Tensor, ...]  # A_g if there is a global path, then A_1, A_2, A_3; detached, in (0, 1)


class SpatialAttention(nn.Module):
    """SA: (B, C, H, W) to a gate (B, 1, H, W) in (0, 1), from the mean and the maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, features: Tensor) -> Tensor:
        pooled = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], dim=1)
        return self.conv(pooled).sigmoid()


class ConsistentAttention(nn.Module):
    """PAC: the gate of a patch, from the patch's own attention and the gates of the global and the previous path."""

    def __init__(self) -> None:
        super().__init__()
        self.own = SpatialAttention()
        self.mix = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, encoded: Tensor, heard: Tensor) -> Tensor:
        """The gate (N, 1, h, w) of patches `encoded` (N, C, h, w); `heard` (N, 2, h, w) are the cut maps of `hear`."""
        own = self.own(encoded)
        return self.mix(torch.cat([own, heard.to(own.dtype)], dim=1)).sigmoid()


def hear(gates: tuple[Tensor | None, Tensor | None], frame: Tensor, grid: Grid) -> Tensor:
    """The gates of the global and the previous path over the padded grid of E_k, (B, 2, h, w); a missing gate is 0."""
    size = (frame.shape[-2], frame.shape[-1])
    height, width = grid.padded(*size)
    wanted = (height // 4, width // 4)
    maps = [
        frame.new_zeros((frame.shape[0], 1, *wanted))
        if gate is None
        else pad(resize(at_least_float32(gate), quarter(size)), wanted, "replicate")
        for gate in gates
    ]
    return torch.cat(maps, dim=1)


def spread(gate: Tensor, features: Tensor) -> Tensor:
    """`gate` (B, 1, H, W) as a factor for `features`, in the precision of `features`.

    A CPU multiplies a channels_last bfloat16 map by a broadcast gate ten times slower than by an expanded copy.
    """
    gate = gate.to(features.dtype)
    if features.dtype is torch.bfloat16 and features.device.type == "cpu":
        return gate.expand_as(features).contiguous(memory_format=torch.channels_last)
    return gate


class ResidualBlock(nn.Module):
    """x + conv3x3(ReLU(conv3x3(x))), with zero padding; LeakyReLU where `negative_slope` is above 0."""

    negative_slope = 0.0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        made = self.first(features)
        active = F.leaky_relu_(made, self.negative_slope) if self.negative_slope else made.relu_()
        return self.second(active).add_(features)


class Stage(nn.Module):
    """A stage of an encoder or decoder: a convolution that changes scale, and two residual blocks."""

    def __init__(self, scale: nn.Module | None, channels: int) -> None:
        super().__init__()
        self.scale = scale
        self.blocks = nn.Sequential(ResidualBlock(channels), ResidualBlock(channels))

    def forward(self, features: Tensor) -> Tensor:
        return self.blocks(features if self.scale is None else self.scale(features))


class Encoder(nn.Module):
    """Maps patches (N, 3, h, w) to E (N, 4 C, h / 4, w / 4); other paths' features are added after the first stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                Stage(nn.Conv2d(3, width, 3, padding=1), width),
                Stage(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), 2 * width),
                Stage(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), 4 * width),
            ]
        )

    def forward(self, patches: Tensor, injected: Tensor | None, call: "Call") -> Tensor:
        features = call(self.stages[0], patches)
        if injected is not None:
            features = features + injected.to(features.dtype)
        return call(self.stages[2], call(self.stages[1], features))


class Decoder(nn.Module):
    """Maps E to features at full scale in three stages, each with a Patch Norm unless `norm` is "none"."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        widths = (4 * width, 2 * width, width)
        ups = (None, *(nn.ConvTranspose2d(a, b, 4, 2, padding=1) for a, b in pairwise(widths)))
        self.stages = nn.ModuleList(Stage(up, channels) for up, channels in zip(ups, widths, strict=True))
        self.norms = nn.ModuleList([] if norm == "none" else [PatchNorm(channels, norm) for channels in widths])

    def forward(self, features: Tensor, num_regions: int, call: "Call") -> Tensor:
        """The features (N, C, h, w) of the last stage, for `num_regions` regions of each image."""
        for number in range(3):
            features = call(self.step, number, features, num_regions)
        return features

    def step(self, number: int, features: Tensor, num_regions: int) -> Tensor:
        """The output of one stage and its norm."""
        features = self.stages[number](features)
        return self.norms[number](features, num_regions) if self.norms else features


Call = Callable[..., Any]


def plainly(function: Call, *args: Any) -> Any:
    return function(*args)


def recomputing(function: Call, *args: Any) -> Any:
    """The result of `function`; the backward pass computes inner activations again instead of keeping them."""
    if not torch.is_grad_enabled():
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)


class Restored(NamedTuple):
    """The result of a path: its image at its own scale, float32, and the maps that later paths use."""

    image: Tensor  # B_k (B, 3, H_k, W_k)
    feature: Tensor  # F_k
    gate: Tensor  # A_k (B, 1, ceil(H_k / 4), ceil(W_k / 4)); A_g has the size of I_g


class Alone(nn.Module):
    """The backbone alone: encoder, decoder and last convolution, patch by patch, without links."""

    def __init__(self, width: int, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.encoder = Encoder(width)
        self.decoder = Decoder(width, "none")
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, frame: Tensor, call: Call) -> Tensor:
        """The restored frame (B, 3, H, W)."""
        size = (frame.shape[-2], frame.shape[-1])
        patches = self.grid.cut(pad(frame, self.grid.padded(*size)))
        features = self.decoder(self.encoder(patches, None, call), 1, call)
        return frame + at_least_float32(crop(self.grid.join(self.last(features)), size))


class GlobalPath(nn.Module):
    """The path over the whole frame at a quarter of the scale: B_g, F_g and A_g (glsgn.md 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(width)
        self.decoder = Decoder(width, "none")
        self.attention = SpatialAttention()
        self.extra = ResidualBlock(width)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, frame: Tensor, call: Call) -> Restored:
        size = (frame.shape[-2], frame.shape[-1])
        padded = pad(frame, (multiple(size[0], GRANULE), multiple(size[1], GRANULE)))
        features = self.decoder(self.encoder(padded, None, call), 1, call)
        gate = self.attention(features)
        image = at_least_float32(crop(self.last(call(self.extra, spread(gate, features) * features)), size))
        return Restored(frame + image, crop(features, size), crop(gate, size))


class LocalPath(nn.Module):
    """A path over patches: encoder with F_g and F_{k-1} added, attention, regions, decoder (glsgn.md 5)."""

    def __init__(self, width: int, grid: Grid, norm: Norm) -> None:
        super().__init__()
        self.grid = grid
        self.encoder = Encoder(width)
        self.attention = ConsistentAttention()
        self.decoder = Decoder(width, norm)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(
        self,
        frame: Tensor,
        links: list[Tensor],
        gates: tuple[Tensor | None, Tensor | None],
        call: Call,
    ) -> Restored:
        """`links` (B, C, ., .) are added after the first stage, at any scale; `gates` are A_g and A_{k-1}."""
        grid, size = self.grid, (frame.shape[-2], frame.shape[-1])
        padded = grid.padded(*size)
        added = [resize(link, size) for link in links]
        injected = grid.cut(pad(torch.stack(added).sum(0) if len(added) > 1 else added[0], padded)) if added else None
        encoded = self.encoder(grid.cut(pad(frame, padded)), injected, call)
        gate = self.attention(encoded, grid.cut(hear(gates, frame, grid), GRANULE))
        regions = grid.to_regions(grid.inner(gated(encoded, gate)))
        features = self.decoder(regions, grid.num_regions, call)
        image = at_least_float32(crop(grid.join(self.last(features)), size))
        whole_gate = crop(grid.join(grid.to_regions(grid.inner(gate))), quarter(size))
        return Restored(frame + image, crop(grid.join(features), size), whole_gate)


def gated(encoded: Tensor, gate: Tensor) -> Tensor:
    """E A: an encoder's map weighted by the gate."""
    return encoded * spread(gate, encoded)


class Pathways(NamedTuple):
    """The parts of the stepwise design, as `forward` and streaming.py run them, path by path."""

    coarse: GlobalPath | None
    local: Sequence[LocalPath]  # paths 1, 2 and 3
    global_links: Sequence[nn.Module]  # convolutions of F_g for each path; empty without a global path
    feature_links: Sequence[nn.Conv2d]  # convolutions of F_1 and F_2 for the next path; empty without these links
    attention_links: bool  # whether paths receive the gates of other paths
    fusion: Fusion | None  # None: the result is the image of path 1

    def heard(self, reduced: Tensor | None, previous: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The gates A_g and A_{k-1} that path k receives."""
        return (reduced, previous) if self.attention_links else (None, None)

    def result(self, reduced: Restored | None, images: Sequence[Tensor], gates: Sequence[Tensor]) -> GlsgnResult:
        """The result, from the images and gates of the global and the local paths."""
        paths = tuple(images)
        coarse = None if reduced is None else reduced.image
        restored = paths[0] if self.fusion is None else self.fusion(*paths, coarse)
        shown = [gate.detach() for gate in ([] if reduced is None else [reduced.gate])]
        return GlsgnResult(restored, paths, coarse, (*shown, *(gate.detach() for gate in gates)))
