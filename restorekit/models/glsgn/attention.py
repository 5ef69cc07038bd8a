"""The gates of GLSGN: spatial attention, and its consistent form that hears the other pathways' (glsgn.md 5.4)."""

import torch
from torch import Tensor, nn

from restorekit.models.glsgn.grid import Grid, at_least_float32, pad, quarter, resize


class SpatialAttention(nn.Module):
    """SA: (B, C, H, W) to a gate (B, 1, H, W) in (0, 1), from the mean and the maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, features: Tensor) -> Tensor:
        pooled = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], dim=1)
        return self.conv(pooled).sigmoid()


class ConsistentAttention(nn.Module):
    """PAC: the gate of a patch from its own attention and from the gates of the global and the previous path."""

    def __init__(self) -> None:
        super().__init__()
        self.own = SpatialAttention()
        self.mix = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, encoded: Tensor, heard: Tensor) -> Tensor:
        """The gate (N, 1, h, w) of patches `encoded` (N, C, h, w); `heard` (N, 2, h, w) is what `hear` gave, cut."""
        own = self.own(encoded)
        return self.mix(torch.cat([own, heard.to(own.dtype)], dim=1)).sigmoid()


def hear(gates: tuple[Tensor | None, Tensor | None], frame: Tensor, grid: Grid) -> Tensor:
    """The gates of the global and the previous path over the padded grid of E_k, (B, 2, h, w); zero where is none."""
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
    """`gate` (B, 1, H, W) as a factor for `features`, in their precision.

    A CPU multiplies a channels_last bfloat16 map by a broadcast one ten times slower than by one that is written out.
    """
    gate = gate.to(features.dtype)
    if features.dtype is torch.bfloat16 and features.device.type == "cpu":
        return gate.expand_as(features).contiguous(memory_format=torch.channels_last)
    return gate
