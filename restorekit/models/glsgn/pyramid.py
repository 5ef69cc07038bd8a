"""The binomial pyramid of GLSGN (glsgn.md 5.1 and 5.7): [1 4 6 4 1] / 16 in each direction, in float32.

Both directions are sums of shifted images, not convolutions, so that no autocast rounds an image to 16 bits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def down(image: Tensor) -> Tensor:
    """(B, C, H, W) at half the scale, odd sizes rounded up: filtered with two reflected pixels, every second kept."""
    return _halved(_halved(image, 2), 3)


def up(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Twice the scale, cropped to `size`: zeros between the pixels, then four times the filter."""
    return _doubled(_doubled(image, 2, size[0]), 3, size[1])


def high(image: Tensor) -> Tensor:
    """HF: what `down` loses of `image`."""
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
    """Between zeros, a filter that reflects at the border meets pixel 1 before the first and the last one again."""
    count = image.shape[dim]
    before, after = image.narrow(dim, 1, 1), image.narrow(dim, count - 1, 1)
    shifted = torch.cat([before, image, after], dim=dim)
    left, right = shifted.narrow(dim, 0, count), shifted.narrow(dim, 2, count)
    even, odd = (left + 6 * image + right) / 8, (image + right) / 2
    both = torch.stack([even, odd], dim=dim + 1)
    return both.flatten(dim, dim + 1).narrow(dim, 0, length)
