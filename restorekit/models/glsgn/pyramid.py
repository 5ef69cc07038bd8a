"""GLSGN's binomial pyramid, and the fusion of the paths' images with learned masks (glsgn.md 4, 5.1 and 5.7).

The filter is [1 4 6 4 1] / 16 in each direction, in float32. The code sums shifted images instead of calling a
convolution, so that autocast does not round an image to 16 bits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.models.glsgn.grid import at_least_float32


def down(image: Tensor) -> Tensor:
    """`image` (B, C, H, W) at half scale, odd sizes rounded up: two reflected border pixels, filter, subsampling."""
    return _halved(_halved(image, 2), 3)


def up(image: Tensor, size: tuple[int, int]) -> Tensor:
    """`image` at twice the scale, cropped to `size`: zeros between the pixels, then four times the filter."""
    return _doubled(_doubled(image, 2, size[0]), 3, size[1])


def high(image: Tensor) -> Tensor:
    """HF: the detail of `image` that `down` loses."""
    return image - up(down(image), (image.shape[-2], image.shape[-1]))


def scales(image: Tensor) -> list[Tensor]:
    """The image at scale 1, 1/2 and 1/4."""
    half = down(image)
    return [image, half, down(half)]


def _halved(image: Tensor, dim: int) -> Tensor:
    border = (0, 0, 2, 2) if dim == 2 else (2, 2, 0, 0)
    padded = F.pad(image, border, mode="reflect")
    kept = (image.shape[dim] + 1) // 2

    def tap(first: int) -> Tensor:
        return padded.narrow(dim, first, 2 * kept - 1)[(slice(None),) * dim + (slice(None, None, 2),)]

    return (tap(0) + tap(4) + 4 * (tap(1) + tap(3)) + 6 * tap(2)) / 16


def _doubled(image: Tensor, dim: int, length: int) -> Tensor:
    """Twice the length along `dim`: between zeros, reflection puts pixel 1 before the first and repeats the last."""
    count = image.shape[dim]
    before, after = image.narrow(dim, 1, 1), image.narrow(dim, count - 1, 1)
    shifted = torch.cat([before, image, after], dim=dim)
    left, right = shifted.narrow(dim, 0, count), shifted.narrow(dim, 2, count)
    even, odd = (left + 6 * image + right) / 8, (image + right) / 2
    both = torch.stack([even, odd], dim=dim + 1)
    return both.flatten(dim, dim + 1).narrow(dim, 0, length)


SMALL = 0.01  # factor on the last weights of a mask, so that fusion begins close to a plain pyramid


class MaskBlock(nn.Module):
    """x + conv3x3(LeakyReLU(conv3x3(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.second(F.leaky_relu_(self.first(features), 0.2)).add_(features)


class HandUp(nn.Module):
    """A mask for twice the scale; both steps are pointwise, so they run before the nearest-neighbour resize."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 1)
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, mask: Tensor) -> Tensor:
        return self.last(F.leaky_relu_(self.first(mask), 0.2))


class Fusion(nn.Module):
    """B_out = Up(Up(B3 + M3 h3) + M2 h2) + M1 h1; the masks are unbounded and start near 0, 1 and 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels, few = 2 * width, max(1, width // 2)
        self.first = nn.Conv2d(6, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(MaskBlock(channels) for _ in range(3)))
        self.last = nn.Conv2d(channels, 1, 3, padding=1)
        self.hand2, self.hand1 = HandUp(few), HandUp(few)
        for conv, bias in ((self.last, 0.0), (self.hand2.last, 1.0), (self.hand1.last, 1.0)):
            with torch.no_grad():
                conv.weight.mul_(SMALL)
            nn.init.constant_(conv.bias, bias)  # type: ignore[arg-type]

    def masks(self, detail: Tensor, base: Tensor, half: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """M1, M2 and M3 from h3 and B3 (B, 3, h, w); M1 too has the size `half`, since M1 is constant over 2 x 2."""
        features = F.leaky_relu_(self.first(torch.cat([detail, base], dim=1)), 0.2)
        third = at_least_float32(self.last(self.blocks(features)))
        second = _nearest(at_least_float32(self.hand2(third)), half)
        return at_least_float32(self.hand1(second)), second, third

    def forward(self, fine: Tensor, middle: Tensor, base: Tensor, coarse: Tensor | None) -> Tensor:
        """B_out from B1, B2, B3 and Bg (B, 3, ., .) in float32; without a global path h3 is zero."""
        detail = torch.zeros_like(base) if coarse is None else high(coarse)
        masks = self.masks(detail, base, (middle.shape[-2], middle.shape[-1]))
        restored = base + masks[2] * detail
        for image, mask in ((middle, masks[1]), (fine, masks[0])):
            size = (image.shape[-2], image.shape[-1])
            restored = up(restored, size).addcmul_(_nearest(mask, size), high(image))
        return restored


def _nearest(mask: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(mask.shape[-2:]) == size:
        return mask
    return F.interpolate(mask, size=list(size), mode="nearest")
