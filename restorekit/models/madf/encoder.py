"""The mask-aware encoder of MADF: a stream of mask features that makes the filters of a stream of image features."""

from typing import Literal

import torch
from torch import Tensor, nn

from restorekit.models.madf.dynamic import STRIDE, dynamic_conv

KERNELS = (7, 5, 3, 3, 3, 3, 3)  # of the levels
GROWTH = (1, 2, 4, 8, 8, 8, 8)  # channels of the levels, in those of the first
Filters = Literal["dynamic", "ordinary"]


class MaskLevel(nn.Module):
    """One level (madf.md 2): features (B, C_in, H, W) and what the mask has become to those of half the size."""

    def __init__(self, mask_inputs: int, mask_channels: int, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.mask_conv = nn.Conv2d(mask_inputs, mask_channels, kernel, STRIDE, kernel // 2)
        self.bank = nn.Parameter(torch.empty((mask_channels + 1) * outputs, inputs, kernel, kernel))
        nn.init.uniform_(self.bank, -(mask_channels**-0.5), mask_channels**-0.5)  # a 1x1 convolution's default

    def forward(self, features: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        mask_features = self.mask_conv(mask_features).relu_()
        return dynamic_conv(features, mask_features, self.bank), mask_features


class OrdinaryLevel(nn.Module):
    """The ablation: one filter bank for all positions; the mask is three channels of the first level's input."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, STRIDE, kernel // 2)

    def forward(self, features: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(features), mask_features


class Encoder(nn.Module):
    """Seven levels; `width` and `mask_channels` are the first level's channels of the two streams (16 and 16)."""

    def __init__(self, width: int, mask_channels: int, filters: Filters, batch_norm: bool) -> None:
        super().__init__()
        self.channels = tuple(width * growth for growth in GROWTH)
        inputs = (6, *self.channels[:-1])
        mask_inputs = (3, *[mask_channels] * 6)
        self.levels = nn.ModuleList(
            MaskLevel(mask_in, mask_channels, before, after, kernel)
            if filters == "dynamic"
            else OrdinaryLevel(before, after, kernel)
            for mask_in, before, after, kernel in zip(mask_inputs, inputs, self.channels, KERNELS, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in self.channels) if batch_norm else None

    def forward(self, stack: Tensor, mask: Tensor) -> list[Tensor]:
        """e_1 ... e_7 of the levels, for `stack` = [image * mask, mask] (B, 6, H, W) and `mask` (B, 3, H, W)."""
        features, mask_features, levels = stack, mask, []
        for number, level in enumerate(self.levels):
            features, mask_features = level(features, mask_features)
            features = features.relu_()
            if self.norms is not None:
                features = self.norms[number](features)
            levels.append(features)
        return levels
