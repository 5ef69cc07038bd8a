"""The detector's network: an image of any size to a number for each label, in 0.3 million parameters.

Streaks, veils and drops show in the statistics of filters more than in the shapes of things. So the mean, the largest
value and the standard deviation of every stage's channels, over the whole image, go to the last layers: of the fine
stage for thin streaks, of the coarse one for drops. They are taken before the stage's normalisation, which would hide
how strong an edge is. Group Norm (Wu and He, ECCV 2018) works for a batch of one.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = ((1, 0), (2, 2), (4, 2), (6, 2))  # channels in multiples of the width, residual blocks; each halves the image
HIDDEN = 64
LEAST_SIDE = 32  # pixels; smaller images are extended at their edges
GROUP = 8  # channels that are normalised together


class _Residual(nn.Module):
    """Two convolutions around a normalisation; the second starts at zero, so that depth costs nothing at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(cast(Tensor, self.second.bias))

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.second(F.relu(self.first(self.norm(x)))))


class _Stage(nn.Module):
    """Halves the image, then residual blocks."""

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, channels, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(_Residual(channels) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks(F.relu(self.reduce(x))))


class DetectorNetwork(nn.Module):
    """Images to logits: (B, 3, H, W) sRGB in [0, 1] to (B, labels)."""

    def __init__(self, labels: int, width: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        channels = [3, *(width * factor for factor, _ in STAGES)]
        self.stages = nn.ModuleList(
            _Stage(channels[place], channels[place + 1], blocks) for place, (_, blocks) in enumerate(STAGES)
        )
        features = 3 * sum(channels[1:])
        self.norm = nn.LayerNorm(features)
        self.hidden = nn.Linear(features, HIDDEN)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(HIDDEN, labels)

    def forward(self, image: Tensor) -> Tensor:
        x = 2.0 * _extended(image) - 1.0
        pooled = []
        for stage in self.stages:
            x = stage(x)
            pooled += [x.mean(dim=(2, 3)), x.amax(dim=(2, 3)), _deviation(x)]
        features = self.norm(torch.cat([torch.log1p(F.relu(one)) for one in pooled], dim=1))
        return cast(Tensor, self.head(self.dropout(F.relu(self.hidden(features)))))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // GROUP), channels)


def _deviation(x: Tensor) -> Tensor:
    """The standard deviation over the image, (B, C); its gradient is finite where all values are equal."""
    return (x.var(dim=(2, 3), unbiased=False) + 1e-6).sqrt()


def _extended(image: Tensor) -> Tensor:
    """The image, with its last row and column repeated up to the least side."""
    height, width = image.shape[-2:]
    missing = max(0, LEAST_SIDE - width), max(0, LEAST_SIDE - height)
    return F.pad(image, (0, missing[0], 0, missing[1]), mode="replicate") if any(missing) else image
