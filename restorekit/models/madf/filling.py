"""MADF's colour range, and a smooth filling of holes from valid pixels alone: a spline in tension on a pyramid.

The network's range is normalised by ImageNet's mean and standard deviation, so that 0 is ImageNet's mean colour. The
filling is a membrane with some stiffness, lap(u) = STIFFNESS lap(lap(u)): it continues the slopes at the hole's rim for
a few pixels, and is a plain membrane farther in (Smith and Wessel, "Gridding with continuous curvature splines in
tension", Geophysics 55, 1990). Means of valid pixels go up a pyramid until no pixel is missing. On the way down they
fill the holes, and Richardson's iteration with Chebyshev's steps relaxes each level. A CPU takes the steps one by one;
`relaxed` gives the same result, up to rounding, in a tenth of the launches.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class ColourRange(nn.Module):
    """The way to the network's range and back. The constants move with the module and are in no checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        # On the CPU even where a checkpoint's reader makes the module on "meta", since no checkpoint brings the values.
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values, device="cpu").view(3, 1, 1), persistent=False)

    def normalised(self, image: Tensor) -> Tensor:
        """`image` (B, 3, H, W) in [0, 1], converted to the network's range."""
        return (image - self.get_buffer("mean")) / self.get_buffer("std")

    def colours(self, output: Tensor) -> Tensor:
        """`output`, converted from the network's range to [0, 1], not clamped."""
        return output * self.get_buffer("std") + self.get_buffer("mean")


STIFFNESS = 1.0  # squared pixels of the image
RELAXATIONS = 64  # on each level, a power of two
CONDITION = 2500.0  # ratio of the largest to the smallest eigenvalue that the relaxations damp


def smooth_fill(image: Tensor, valid: Tensor) -> Tensor:
    """`image` (B, C, H, W) where `valid` (B, 1, H, W) is above 0, and a smooth surface elsewhere; no gradient.

    Pixels in holes are not used. For an image without a valid pixel the result is 0.
    """
    device = image.device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        known = (valid > 0).to(image.dtype)
        if torch.onnx.is_in_onnx_export():
            return _filled_at_any_size(image * known, known, STIFFNESS, Stencils.of(torch.zeros(())), MOST_LEVELS)
        stencils = None if device == "cpu" else Stencils.of(image)
        return _fill(image * known, known, STIFFNESS, stencils)


def _fill(image: Tensor, known: Tensor, stiffness: float, stencils: "Stencils | None") -> Tensor:
    height, width = image.shape[-2:]
    if min(height, width) <= 2:
        return _filled_by_mean(image, known)
    means, counts = _coarser(image, known)
    filled = _raised(_fill(means, counts, stiffness / 4, stencils), image, known)
    if stencils is not None:
        return relaxed(filled, known == 0, stiffness, stencils)
    for step in _steps(stiffness):
        bent = _laplacian(filled)
        filled = torch.where(known > 0, image, filled + step * (bent - stiffness * _laplacian(bent)))
    return filled


def _filled_by_mean(image: Tensor, known: Tensor) -> Tensor:
    mean = image.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.where(known > 0, image, mean)


def _coarser(image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The next level: means of 2 x 2 pixels that are known, and 1 where one of them is; a pixel spans two of this."""
    below, right = image.shape[-2] % 2, image.shape[-1] % 2
    counts = F.avg_pool2d(F.pad(known, (0, right, 0, below)), 2)
    means = F.avg_pool2d(F.pad(image, (0, right, 0, below)), 2) / counts.clamp(min=0.25)
    return means, (counts > 0).to(image.dtype)


def _raised(coarse: Tensor, image: Tensor, known: Tensor) -> Tensor:
    """`image` where known, and elsewhere the filled `coarse` level at twice its size."""
    height, width = image.shape[-2:]
    raised = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return torch.where(known > 0, image, raised)


MOST_LEVELS = 13  # in an ONNX file, where the size is unknown: enough for sides of 2^14 pixels


def _filled_at_any_size(image: Tensor, known: Tensor, stiffness: float, stencils: "Stencils", levels: int) -> Tensor:
    """`_fill` with a fixed number of levels: those below the level that ends the pyramid are made and not used."""
    if levels == 0:
        return _filled_by_mean(image, known)
    means, counts = _coarser(image, known)
    coarse = _filled_at_any_size(means, counts, stiffness / 4, stencils, levels - 1)
    filled = _relaxed_in_turns(_raised(coarse, image, known), known == 0, stiffness, stencils)
    shorter = torch.minimum(*(torch.as_tensor(side) for side in image.shape[-2:]))
    return torch.where(shorter <= 2, _filled_by_mean(image, known), filled)


def _damped(stiffness: float) -> tuple[float, float]:
    """Middle and half width of the range of eigenvalues that the relaxations damp."""
    largest = 8 + 64 * stiffness
    return largest * (1 + 1 / CONDITION) / 2, largest * (1 - 1 / CONDITION) / 2


def _steps(stiffness: float) -> list[float]:
    """Chebyshev's steps in Lebedev and Finogenov's order, which is stable under rounding."""
    middle, half = _damped(stiffness)
    odd = [1]
    while len(odd) < RELAXATIONS:
        odd = [place for one in odd for place in (one, 4 * len(odd) - one)]
    return [1 / (middle + half * math.cos(math.pi * place / (2 * RELAXATIONS))) for place in odd]


def _laplacian(image: Tensor) -> Tensor:
    """The sum of a pixel's four neighbours minus four times the pixel; border pixels are repeated outwards."""
    framed = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, :-2] + framed[..., 1:-1, 2:]
    return across + framed[..., :-2, 1:-1] + framed[..., 2:, 1:-1] - 4 * image


SMALL = 256  # pixels up to which a matrix holds a whole level
MARGIN = 32  # pixels around a level; each relaxation spoils two of them, from the outside


class Stencils(NamedTuple):
    """Filters (1, 1, 5, 5) of the Laplacian and of its square, made where they are used: a copy there would wait."""

    once: Tensor
    twice: Tensor

    @classmethod
    def of(cls, image: Tensor) -> "Stencils":
        """The filters in the precision and on the device of `image`."""
        point = F.pad(image.new_ones(1, 1, 1, 1), (2, 2, 2, 2))
        once = _laplacian(point)
        return cls(once, _laplacian(once))

    def bending(self, image: Tensor, stiffness: float) -> Tensor:
        """The filters (C, 1, 5, 5) of lap(u) - stiffness lap(lap(u)) for `image` (B, C, H, W)."""
        both = torch.add(self.once, self.twice, alpha=-stiffness).to(image.dtype)
        return both.expand(int(image.shape[1]), 1, 5, 5)


def relaxed(filled: Tensor, holes: Tensor, stiffness: float, stencils: Stencils) -> Tensor:
    """`filled` (B, C, H, W) after all relaxations of a level, in few operations; `holes` (B, 1, H, W) is boolean."""
    if filled.shape[-2] * filled.shape[-1] <= SMALL:
        return _relaxed_at_once(filled, holes, stiffness, stencils)
    return _relaxed_in_turns(filled, holes, stiffness, stencils)


def _relaxed_in_turns(filled: Tensor, holes: Tensor, stiffness: float, stencils: Stencils) -> Tensor:
    """One convolution and one sum for a relaxation. A level's border is reflected once for MARGIN / 2 of them."""
    height, width = filled.shape[-2:]
    rows, columns = (_mirrored(side, filled.device) for side in (height, width))
    moving = holes.to(filled.dtype).index_select(2, rows).index_select(3, columns)
    steps, turn, bending = _steps(stiffness), MARGIN // 2, stencils.bending(filled, stiffness)
    for first in range(0, len(steps), turn):
        framed = filled.index_select(2, rows).index_select(3, columns)
        for step in steps[first : first + turn]:
            framed.addcmul_(F.conv2d(framed, bending, padding=2, groups=len(bending)), moving, value=step)
        filled = framed[..., MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    return filled


def _relaxed_at_once(filled: Tensor, holes: Tensor, stiffness: float, stencils: Stencils) -> Tensor:
    """The product of all relaxations as a matrix for each image: with m and h of `_damped`, T_64(A / h) / T_64(m / h).

    A is m plus the bending in holes. Chebyshev's polynomial T_64 is T_2(x) = 2 x^2 - 1, six times applied. In float64,
    because a GPU may round the factors of float32 products to ten bits.
    """
    (height, width), (middle, half) = filled.shape[-2:], _damped(stiffness)
    rows, columns = (_mirrored(side, filled.device, 2) for side in (height, width))
    one = torch.eye(height * width, dtype=torch.float64, device=filled.device)
    points = one.view(-1, 1, height, width)[:, :, rows[:, None], columns]
    bending = F.conv2d(points, stencils.bending(points, stiffness)).flatten(1).T
    powers = torch.addcmul(one * (middle / half), holes.flatten(2).mT.double(), bending, value=1 / half)
    for _ in range(RELAXATIONS.bit_length() - 1):
        powers = torch.baddbmm(one.expand_as(powers), powers, powers, beta=-1, alpha=2)
    scale = 1 / math.cosh(RELAXATIONS * math.acosh(middle / half))
    moved = (powers @ filled.flatten(2).mT.double()).mT.unflatten(2, (height, width))
    return torch.where(holes, (moved * scale).to(filled.dtype), filled)


def _mirrored(side: int, device: torch.device, margin: int = MARGIN) -> Tensor:
    """The pixel at each place of a side that is mirrored at its ends, border pixels included, by `margin` places."""
    places = torch.arange(-margin, side + margin, device=device) % (2 * side)
    return torch.minimum(places, 2 * side - 1 - places)
