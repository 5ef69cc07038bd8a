"""MADF's decoders, level by level: recovery with the encoder's skips, and refinement tied by point-wise norms."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of every leaky ReLU


class RecoveryStep(nn.Module):
    """r_l to r_{l-1} (madf.md 4), twice the size; the encoder's e_{l-1}, widened by `skip`, comes first."""

    def __init__(self, inputs: int, outputs: int, encoded: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(encoded, outputs, 1)
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        self.norm = nn.BatchNorm2d(outputs)
        self.fuse = nn.Conv2d(2 * outputs, outputs, 3, padding=1)

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        # The 3x3 convolution of a concatenation is a sum over its parts, so the concatenation is never stored.
        first, second = self.fuse.weight.chunk(2, 1)
        fused = F.conv2d(self.skip(encoded).relu_(), first, self.fuse.bias, padding=1)
        fused += F.conv2d(F.leaky_relu_(self.norm(self.up(features)), SLOPE), second, padding=1)
        return fused.relu_()


class PointwiseNorm(nn.Module):
    """PN(h; g) = n (1 + scale(g)) + bias(g), with n the batch normalisation of h without affine (madf.md 4)."""

    def __init__(self, channels: int, hidden: int, plus_one: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(channels, hidden, 3, padding=1)
        self.modulate = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        self.plus_one = plus_one

    def modulation(self, guide: Tensor, size: Sequence[int]) -> Tensor:
        """Scale and bias at every point, (B, 2C, *size), from the guide g (B, C, H, W), resized to `size`."""
        if tuple(guide.shape[-2:]) != tuple(size):
            guide = F.interpolate(guide, size=tuple(size), mode="bilinear", align_corners=False)
        modulation: Tensor = self.modulate(self.shared(guide).relu_())
        return modulation

    def forward(self, features: Tensor, modulation: Tensor) -> Tensor:
        """PN of h (B, C, H, W) with scale and bias from `modulation`."""
        scale, bias = modulation.chunk(2, 1)
        normed = self.norm(features)
        result = torch.addcmul(bias, normed, scale)
        return result.add_(normed) if self.plus_one else result


class RefinementStep(nn.Module):
    """f^k_l to f^k_{l-1}, twice the size, normalised by the previous decoder's f^{k-1}_{l-1}, the `guide`."""

    def __init__(self, inputs: int, outputs: int, hidden: int, pointwise: bool, plus_one: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        self.norm = PointwiseNorm(outputs, hidden, plus_one) if pointwise else nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        if isinstance(self.norm, nn.BatchNorm2d):
            normed = self.norm(self.up(features))
        else:
            height, width = features.shape[-2:]
            modulation = self.norm.modulation(
                guide, (2 * height, 2 * width)
            )  # computed before the modulated map, to save memory
            normed = self.norm(self.up(features), modulation)
        return F.leaky_relu_(normed, SLOPE)


class LastRecovery(nn.Module):
    """r_1 to out_0 (B, 3, 2H, 2W): a transposed convolution, mixed with e_0 = [image * mask, mask]; e_0 comes first."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, 3, 4, 2, 1)
        self.mix = nn.Conv2d(9, 3, 3, padding=1)

    def forward(self, features: Tensor, stack: Tensor) -> Tensor:
        image: Tensor = self.mix(torch.cat([stack, self.up(features)], 1))
        return image


class LastRefinement(nn.Module):
    """f^k_1 to out_k: a 1x1 convolution of [f^k_1 resized to twice the size, out_0 ... out_{k-1}, e_0].

    The convolution commutes with the bilinear resizing, whose weights sum to one. So three channels are resized
    instead of 64, without a concatenation.
    """

    def __init__(self, inputs: int, number: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs + 3 * number + 6, 3, 1)

    def forward(self, features: Tensor, images: list[Tensor], stack: Tensor) -> Tensor:
        own, others = self.mix.weight.split([features.shape[1], self.mix.in_channels - features.shape[1]], 1)
        resized = F.interpolate(F.conv2d(features, own), size=stack.shape[-2:], mode="bilinear", align_corners=False)
        return resized + F.conv2d(torch.cat([*images, stack], 1), others, self.mix.bias)
