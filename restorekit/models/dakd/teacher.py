"""DAKD's teacher, which predicts the mask, and the encoder and decoder that teacher and student share."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from restorekit.models.dakd.blocks import Conv, Dense, resized

ENCODER_LAYERS, DECODER_LAYERS = 4, 3  # of the dense blocks
SCALES = (1, 2, 4)

Fuse = Callable[[int, Tensor], Tensor]  # (level, the student's features) to the fused features


class Features(NamedTuple):
    """Features (B, C, H, W) at the scales of dakd.md 4, for distillation and fusion."""

    encoder: list[Tensor]  # E1 to E4
    decoder: list[Tensor]  # after c3, c2, c1


class Encoder(nn.Module):
    """Maps an image (B, inputs, H, W) to E1 ... E4: e1 to e3 and the bottleneck of dakd.md 4."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        widths = [inputs, width, 2 * width, 4 * width]
        self.enter = nn.ModuleList(
            Conv(before, after, stride=1 if level == 0 else 2)
            for level, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.dense = nn.ModuleList(Dense(channels, width, ENCODER_LAYERS) for channels in widths[1:])
        self.bottleneck = Conv(4 * width, 4 * width)

    def forward(self, features: Tensor, keep: bool, fuse: Fuse | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """E1 to E4 (empty without `keep`), and the maps E1, E2, E4, which the decoder pops from the end.

        `fuse` changes E1, E2 and E3 (number 0 to 2) before they are used.
        """
        encoded, skips = [], []
        for number, (enter, dense) in enumerate(zip(self.enter, self.dense, strict=True)):
            features = dense(enter(features))
            if fuse is not None:
                features = fuse(number, features)
            encoded.append(features)
            skips.append(features)
        encoded.append(self.bottleneck(features))
        skips[2] = encoded[3]
        return encoded if keep else [], skips


class Decoder(nn.Module):
    """m3 to o2 of dakd.md 4 without gates: the steps of each scale, and the last convolutions."""

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        widths = [4 * width, 2 * width, width]
        self.dense = nn.ModuleList(Dense(channels, width, DECODER_LAYERS) for channels in widths)
        self.conv = nn.ModuleList(Conv(channels, channels) for channels in widths)
        self.up = nn.ModuleList(Conv(2 * channels, channels) for channels in widths[1:])
        self.join = nn.ModuleList(Conv(2 * channels, channels) for channels in widths[1:])
        self.first = Conv(width + 3, width)
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def scale(self, number: int, features: Tensor) -> Tensor:
        """c3, c2 or c1 (number 0 to 2)."""
        return self.conv[number](self.dense[number](features))

    def upwards(self, number: int, features: Tensor, skip: Tensor) -> Tensor:
        """Features at the next larger scale, joined with the encoder's `skip`: j2 or j1 (number 0 or 1)."""
        size = (skip.shape[-2], skip.shape[-1])
        return self.join[number](torch.cat([self.up[number](resized(features, size)), skip], dim=1))

    def finish(self, features: Tensor, image: Tensor) -> Tensor:
        return self.last(self.first(torch.cat([features, image.to(features.dtype)], dim=1)))


class Teacher(nn.Module):
    """Maps an image (B, 3, H, W) to the mask's logit (B, 1, H, W) and to features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(3, width)
        self.decoder = Decoder(1, width)

    def forward(self, image: Tensor, keep: bool = True) -> tuple[Tensor, Features]:
        """The mask's logit and the features; without `keep`, features are freed after use and the lists are empty."""
        encoded, skips = self.encoder(image, keep)
        features, decoded = skips.pop(), []
        for number in range(len(SCALES)):
            if number:
                features = self.decoder.upwards(number - 1, features, skips.pop())
            features = self.decoder.scale(number, features)
            if keep:
                decoded.append(features)
        return self.decoder.finish(features, image), Features(encoded, decoded)
