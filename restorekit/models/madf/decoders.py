"""The decoders of MADF, a level at a time: recovery with the encoder's skips, refinement tied by point-wise norms."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of every leaky ReLU
Normalisation = Literal["pointwise", "batch"]


class RecoveryStep(nn.Module):
    """r_l to r_{l-1} (madf.md 4), twice the size; `skip` widens the encoder's e_{l-1}, which comes first."""

    def __init__(self, inputs: int, outputs: int, encoded: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(encoded, outputs, 1)
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        self.norm = nn.BatchNorm2d(outputs)
        self.fuse = nn.Conv2d(2 * outputs, outputs, 3, padding=1)

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        decoded = F.leaky_relu_(self.norm(self.up(features)), SLOPE)
        joined = torch.cat([self.skip(encoded).relu_(), decoded], 1)
        del decoded
        return self.fuse(joined).relu_()


class PointwiseNorm(nn.Module):
    """PN(h; g) = n (1 + scale(g)) + bias(g), with n the batch normalisation of h without affine (madf.md 4)."""

    def __init__(self, channels: int, hidden: int, plus_one: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(channels, hidden, 3, padding=1)
        self.modulate = nn.Conv2d(hidden, 2 * channels, 3, padding=1)  # scale, then bias
        self.plus_one = plus_one

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        """`guide` has the channels of `features`, and is resized to it where its size is another."""
        if guide.shape[-2:] != features.shape[-2:]:
            guide = F.interpolate(guide, size=features.shape[-2:], mode="bilinear", align_corners=False)
        normed = self.norm(features)
        del features
        scale, bias = self.modulate(self.shared(guide).relu_()).chunk(2, 1)
        return torch.addcmul(normed + bias if self.plus_one else bias, normed, scale)


class RefinementStep(nn.Module):
    """f^k_l to f^k_{l-1}, twice the size, normalised by the decoder before: `guide` is f^{k-1}_{l-1}."""

    def __init__(self, inputs: int, outputs: int, hidden: int, normalisation: Normalisation, plus_one: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        pointwise = normalisation == "pointwise"
        self.norm = PointwiseNorm(outputs, hidden, plus_one) if pointwise else nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        raised = self.up(features)
        normed = self.norm(raised, guide) if isinstance(self.norm, PointwiseNorm) else self.norm(raised)
        return F.leaky_relu_(normed, SLOPE)


class LastRecovery(nn.Module):
    """r_1 to out_0 (B, 3, 2H, 2W): a transposed convolution, mixed with e_0 = [image * mask, mask], which is first."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, 3, 4, 2, 1)
        self.mix = nn.Conv2d(9, 3, 3, padding=1)

    def forward(self, features: Tensor, stack: Tensor) -> Tensor:
        image: Tensor = self.mix(torch.cat([stack, self.up(features)], 1))
        return image


class LastRefinement(nn.Module):
    """f^k_1 to out_k: a 1x1 convolution of [f^k_1 resized to twice the size, out_0 ... out_{k-1}, e_0].

    It commutes with the bilinear resizing, whose weights add up to one: three channels are resized instead of 64, and
    nothing is concatenated with them.
    """

    def __init__(self, inputs: int, number: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs + 3 * number + 6, 3, 1)

    def forward(self, features: Tensor, images: list[Tensor], stack: Tensor) -> Tensor:
        own, beside = self.mix.weight.split([features.shape[1], self.mix.in_channels - features.shape[1]], 1)
        resized = F.interpolate(F.conv2d(features, own), size=stack.shape[-2:], mode="bilinear", align_corners=False)
        return resized + F.conv2d(torch.cat([*images, stack], 1), beside, self.mix.bias)
