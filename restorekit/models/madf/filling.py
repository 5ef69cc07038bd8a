"""MADF's colour range, and a smooth filling of holes from valid pixels alone: a spline in tension on a pyramid.

The network's range is normalised by ImageNet's mean and standard deviation, so that 0 is ImageNet's mean colour. The
filling is a membrane with some stiffness, lap(u) = STIFFNESS lap(lap(u)): it continues the slopes at the hole's rim for
a few pixels, and is a plain membrane farther in (Smith and Wessel, "Gridding with continuous curvature splines in
tension", Geophysics 55, 1990). Means of valid pixels go up a pyramid until no pixel is missing. On the way down they
fill the holes, and Richardson's iteration with Chebyshev's steps relaxes each level.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalised(image: Tensor) -> Tensor:
    """`image` (B, 3, H, W) in [0, 1], converted to the network's range."""
    return (image - image.new_tensor(MEAN).view(3, 1, 1)) / image.new_tensor(STD).view(3, 1, 1)


def colours(output: Tensor) -> Tensor:
    """`output`, converted from the network's range to [0, 1], not clamped."""
    return output * output.new_tensor(STD).view(3, 1, 1) + output.new_tensor(MEAN).view(3, 1, 1)


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
        return _fill(image * known, known, STIFFNESS)


def _fill(image: Tensor, known: Tensor, stiffness: float) -> Tensor:
    height, width = image.shape[-2:]
    if min(height, width) <= 2:
        mean = image.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
        return torch.where(known > 0, image, mean)
    below, right = height % 2, width % 2
    counts = F.avg_pool2d(F.pad(known, (0, right, 0, below)), 2)
    means = F.avg_pool2d(F.pad(image, (0, right, 0, below)), 2) / counts.clamp(min=0.25)
    coarse = _fill(means, (counts > 0).to(image.dtype), stiffness / 4)  # a coarse pixel spans two of this level's
    raised = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    filled = torch.where(known > 0, image, raised)
    for step in _steps(8 + 64 * stiffness):
        bent = _laplacian(filled)
        filled = torch.where(known > 0, image, filled + step * (bent - stiffness * _laplacian(bent)))
    return filled


def _steps(largest: float) -> list[float]:
    """Chebyshev's steps for eigenvalues up to `largest`, in Lebedev and Finogenov's order, stable under rounding."""
    middle, half = largest * (1 + 1 / CONDITION) / 2, largest * (1 - 1 / CONDITION) / 2
    odd = [1]
    while len(odd) < RELAXATIONS:
        odd = [place for one in odd for place in (one, 4 * len(odd) - one)]
    return [1 / (middle + half * math.cos(math.pi * place / (2 * RELAXATIONS))) for place in odd]


def _laplacian(image: Tensor) -> Tensor:
    """The sum of a pixel's four neighbours minus four times the pixel; border pixels are repeated outwards."""
    framed = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, :-2] + framed[..., 1:-1, 2:]
    return across + framed[..., :-2, 1:-1] + framed[..., 2:, 1:-1] - 4 * image
