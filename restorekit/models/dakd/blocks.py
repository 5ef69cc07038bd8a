"""The building blocks of teacher and student: convolutions with their ReLU, dense blocks, and resizing."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    """`features` (B, C, h, w) resized to `size`, bilinearly."""
    if torch.compiler.is_compiling() and size == (2 * features.shape[-2], 2 * features.shape[-1]):
        return _doubled(_doubled(features, 2), 3)
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


def _doubled(values: Tensor, axis: int) -> Tensor:
    """`values` resized bilinearly to twice the size along `axis`, from slices alone.

    Inductor sums the gradient of `interpolate` atomically, one value at a time; slices took a third of the time.
    """
    size = values.shape[axis]
    before = torch.cat([values.narrow(axis, 0, 1), values.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([values.narrow(axis, 1, size - 1), values.narrow(axis, size - 1, 1)], axis)
    pairs = torch.stack([torch.lerp(values, before, 0.25), torch.lerp(values, after, 0.25)], axis + 1)
    return pairs.flatten(axis, axis + 1)


class Conv(nn.Conv2d):
    """A 3x3 convolution with zero padding and ReLU, or LeakyReLU where `negative_slope` is above 0."""

    negative_slope = 0.0

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        made = super().forward(features)
        return F.leaky_relu_(made, self.negative_slope) if self.negative_slope else made.relu_()


class Dense(nn.Module):
    """Dense(C, n) of dakd.md 4: n convolutions to `growth` channels, each on all previous maps; a 1x1 convolution; a
    skip connection from the input.
    """

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.growth = growth
        self.layers = nn.ModuleList(Conv(channels + growth * layer, growth) for layer in range(layers))
        self.mix = nn.Conv2d(channels + growth * layers, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        last = features.is_contiguous(memory_format=torch.channels_last)
        in_place = features.device.type == "cpu" or not last  # slices do not keep the channels last, as a GPU needs
        # In an ONNX file, each slice that is written to is a copy of the whole map.
        if in_place and not torch.is_grad_enabled() and not torch.onnx.is_in_onnx_export():
            return self._in_place(features)
        joined = features
        for layer in self.layers:
            joined = torch.cat([joined, layer(joined)], dim=1)
        return features + self.mix(joined)

    def _in_place(self, features: Tensor) -> Tensor:
        """The result without gradients: fills one map of all channels, where `cat` would hold two such maps."""
        batch, channels, height, width = features.shape
        total = self.mix.in_channels
        joined = features.new_empty(batch, total, height, width)
        joined[:, :channels] = features
        for layer in self.layers:
            made = layer(joined[:, :channels])
            joined[:, channels : channels + self.growth] = made
            channels += self.growth
            del made
        mixed = self.mix(joined)
        del joined
        return mixed.add_(features)
