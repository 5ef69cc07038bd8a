"""The pathways of GLSGN: encoder, decoder with Patch Norm, and the two kinds of path made of them (glsgn.md 5)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from restorekit.models.glsgn.attention import ConsistentAttention, SpatialAttention, hear, spread
from restorekit.models.glsgn.grid import GRANULE, Grid, at_least_float32, crop, pad, quarter, resize
from restorekit.models.glsgn.norm import PatchNorm

Norm = Literal["joint", "instance", "none"]


class ResidualBlock(nn.Module):
    """x + conv3x3(ReLU(conv3x3(x))), with zero padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.second(self.first(features).relu_()).add_(features)


class Stage(nn.Module):
    """A stage of an encoder or decoder: a convolution that changes scale, and two residual blocks."""

    def __init__(self, scale: nn.Module | None, channels: int) -> None:
        super().__init__()
        self.scale = scale
        self.blocks = nn.Sequential(ResidualBlock(channels), ResidualBlock(channels))

    def forward(self, features: Tensor) -> Tensor:
        return self.blocks(features if self.scale is None else self.scale(features))


class Encoder(nn.Module):
    """Patches (N, 3, h, w) to E (N, 4 C, h / 4, w / 4); what the other paths give is added after the first stage."""

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
    """E to features at full scale in three stages, each with a Patch Norm where `norm` is not "none"."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        widths = (4 * width, 2 * width, width)
        ups = (None, *(nn.ConvTranspose2d(a, b, 4, 2, padding=1) for a, b in pairwise(widths)))
        self.stages = nn.ModuleList(Stage(up, channels) for up, channels in zip(ups, widths, strict=True))
        self.norms = nn.ModuleList([] if norm == "none" else [PatchNorm(channels, norm) for channels in widths])

    def forward(self, encoded: Tensor, num_regions: int, call: "Call") -> tuple[Tensor, Tensor]:
        """The features of the middle and of the last stage."""
        middle = features = encoded
        for number in range(3):
            middle = features
            features = call(self.step, number, features, num_regions)
        return middle, features

    def step(self, number: int, features: Tensor, num_regions: int) -> Tensor:
        """One stage and its norm."""
        features = self.stages[number](features)
        return self.norms[number](features, num_regions) if self.norms else features


Call = Callable[..., Any]


def plainly(function: Call, *args: Any) -> Any:
    return function(*args)


def recomputing(function: Call, *args: Any) -> Any:
    """Calls `function`; its inner activations are computed again in the backward pass instead of being kept."""
    if not torch.is_grad_enabled():
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)


class Restored(NamedTuple):
    """What a path gives: its image at its own scale, float32, and what the paths after it hear."""

    image: Tensor  # B_k (B, 3, H_k, W_k)
    feature: Tensor  # F_k
    gate: Tensor  # A_k (B, 1, ceil(H_k / 4), ceil(W_k / 4)); A_g has the size of I_g


class Alone(nn.Module):
    """The backbone by itself: encoder, decoder and last convolution, patch by patch, with no word from elsewhere."""

    def __init__(self, width: int, grid: Grid, residual: bool) -> None:
        super().__init__()
        self.grid, self.residual = grid, residual
        self.encoder = Encoder(width)
        self.decoder = Decoder(width, "none")
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, frame: Tensor, call: Call) -> Tensor:
        """(B, 3, H, W) to the same."""
        size = (frame.shape[-2], frame.shape[-1])
        patches = self.grid.cut(pad(frame, self.grid.padded(*size)))
        features = self.decoder(self.encoder(patches, None, call), 1, call)[1]
        image = at_least_float32(crop(self.grid.join(self.last(features)), size))
        return frame + image if self.residual else image


class GlobalPath(nn.Module):
    """The path over the whole frame at a quarter of the scale: B_g, F_g and A_g (glsgn.md 3)."""

    def __init__(self, width: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.encoder = Encoder(width)
        self.decoder = Decoder(width, "none")
        self.attention = SpatialAttention()
        self.extra = ResidualBlock(width)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, frame: Tensor, tap: Literal["last", "middle"], call: Call) -> Restored:
        size = (frame.shape[-2], frame.shape[-1])
        padded = pad(frame, (-(-size[0] // GRANULE) * GRANULE, -(-size[1] // GRANULE) * GRANULE))
        middle, features = self.decoder(self.encoder(padded, None, call), 1, call)
        gate = self.attention(features)
        image = at_least_float32(crop(self.last(call(self.extra, spread(gate, features) * features)), size))
        tapped = crop(features, size) if tap == "last" else crop(middle, _half(size))
        return Restored(frame + image if self.residual else image, tapped, crop(gate, size))


class LocalPath(nn.Module):
    """A path over patches: encoder with what F_g and F_{k-1} add, attention, regions, decoder (glsgn.md 5)."""

    def __init__(self, width: int, grid: Grid, norm: Norm, residual: bool, residual_gate: bool) -> None:
        super().__init__()
        self.grid, self.residual, self.residual_gate = grid, residual, residual_gate
        self.encoder = Encoder(width)
        self.attention = ConsistentAttention()
        self.decoder = Decoder(width, norm)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(
        self,
        frame: Tensor,
        links: list[Tensor],
        gates: tuple[Tensor | None, Tensor | None],
        tap: Literal["last", "middle"],
        call: Call,
    ) -> Restored:
        """`links` (B, C, ., .) are what is added after the first stage, at any scale; `gates` are A_g and A_{k-1}."""
        grid, size = self.grid, (frame.shape[-2], frame.shape[-1])
        padded = grid.padded(*size)
        added = [resize(link, size) for link in links]
        injected = grid.cut(pad(torch.stack(added).sum(0) if len(added) > 1 else added[0], padded)) if added else None
        encoded = self.encoder(grid.cut(pad(frame, padded)), injected, call)
        gate = self.attention(encoded, grid.cut(hear(gates, frame, grid), GRANULE))
        regions = grid.to_regions(grid.inner(self.gated(encoded, gate)))
        middle, features = self.decoder(regions, grid.num_regions, call)
        image = at_least_float32(crop(grid.join(self.last(features)), size))
        tapped = crop(grid.join(features), size) if tap == "last" else crop(grid.join(middle), _half(size))
        whole_gate = crop(join_gates(grid, grid.inner(gate)), quarter(size))
        return Restored(frame + image if self.residual else image, tapped, whole_gate)

    def gated(self, encoded: Tensor, gate: Tensor) -> Tensor:
        factor = spread(gate, encoded)
        return encoded + factor * encoded if self.residual_gate else encoded * factor


def join_gates(grid: Grid, gate: Tensor) -> Tensor:
    """The gates of patches as one padded map."""
    return grid.join(grid.to_regions(gate))


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)
