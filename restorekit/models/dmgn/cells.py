"""The building blocks of DMGN: reflected borders, convolutions over parts, gates and the Residual Deep-Masking Cell.

Convolutions take a map that `reflect` padded, so that without gradients the unpadded map is freed first.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reflect(features: Tensor, border: int = 1) -> Tensor:
    """`features` (B, C, H, W) with `border` reflected pixels on each side, in the same precision.

    Autocast on a CPU would pad in float32, with a copy before and a copy after the padding. CUDA returns NCHW for any
    input, and each convolution after that would turn its maps; a copy here keeps the channels last.
    """
    last = features.is_contiguous(memory_format=torch.channels_last)
    with torch.autocast(features.device.type, enabled=False):
        padded = F.pad(features, (border, border, border, border), mode="reflect")
    return padded.contiguous(memory_format=torch.channels_last) if last else padded


def spread(gate: Tensor, features: Tensor) -> Tensor:
    """`gate` (B, 1, H, W) as a factor for `features` (B, C, H, W).

    A CPU multiplies a channels_last bfloat16 map by a broadcast gate ten times slower than by an expanded copy.
    """
    if features.dtype is torch.bfloat16 and features.device.type == "cpu":
        return gate.expand_as(features).contiguous(memory_format=torch.channels_last)
    return gate


class PartsConv(nn.Conv2d):
    """A 3x3 convolution of a concatenation that is never stored: the sum over its parts (dmgn.md 7)."""

    def __init__(self, inputs: Sequence[int], outputs: int) -> None:
        super().__init__(sum(inputs), outputs, 3)

    def part(self, reflected: Tensor, start: int, bias: bool = False) -> Tensor:
        """The contribution of the input channels from `start` on; exactly one part adds the bias."""
        return F.conv2d(reflected, self.weight[:, start : start + reflected.shape[1]], self.bias if bias else None)


class Gate(nn.Module):
    """conv1x1, tanh, conv1x1 to one channel, sigmoid: (B, C, H, W) to (B, 1, H, W) in (0, 1)."""

    def __init__(self, channels: int, bias: bool = True) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1, bias=bias)
        self.last = nn.Conv2d(channels, 1, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.last(self.mix(features).tanh_()).sigmoid_()


class DeepMaskingCell(nn.Module):
    """RDMC (dmgn.md 3.3): the input plus a gated residual; the gate has one channel.

    The ablation without `gated` adds the whole residual and returns a gate of ones.
    """

    def __init__(self, channels: int, dilation: int = 1, gated: bool = True) -> None:
        super().__init__()
        self.dilation = dilation
        self.first = nn.Conv2d(channels, channels, 3, dilation=dilation, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, dilation=dilation, bias=False)
        self.gate = Gate(channels) if gated else None

    def forward(self, features: Tensor, steer: Tensor | None = None, amount: float = 0.0) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) and the gate (B, 1, H, W).

        With `steer`, a Noise Distribution Map K (B, 1, H, W), the gate becomes (gate + amount K) / (1 + amount)
        (dmgn.md 3.7).
        """
        border = self.dilation
        residual = self.second(reflect(self.first(reflect(features, border)).relu_(), border)).relu_()
        if self.gate is None:
            return features + residual, residual.new_ones(len(residual), 1, *residual.shape[-2:])
        gate = self.gate(residual)
        if steer is not None:
            gate = ((gate + amount * steer) / (1 + amount)).to(gate.dtype)
        return torch.addcmul(features, spread(gate, residual), residual), gate
