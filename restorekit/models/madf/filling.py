"""A smooth guess at what a hole holds, from valid pixels alone: a pyramid of means, relaxed on each level.

The means of what is valid go up a pyramid until nothing is missing, and come down into the holes, where each level is
then averaged with its neighbours a few times, on the way to the harmonic surface over the hole's rim.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

RELAXATIONS = 4  # on each level; 16 give 0.03 dB more


def smooth_fill(image: Tensor, valid: Tensor) -> Tensor:
    """`image` (B, C, H, W) where `valid` (B, 1, H, W) is above 0, and a smooth surface elsewhere; no gradient.

    What the image holds in holes is not looked at; where an image has no valid pixel at all the result is 0.
    """
    device = image.device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        known = (valid > 0).to(image.dtype)
        return _fill(image * known, known)


def _fill(image: Tensor, known: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    if min(height, width) <= 2:
        mean = image.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
        return torch.where(known > 0, image, mean)
    below, right = height % 2, width % 2
    counts = F.avg_pool2d(F.pad(known, (0, right, 0, below)), 2)
    means = F.avg_pool2d(F.pad(image, (0, right, 0, below)), 2) / counts.clamp(min=0.25)
    coarse = _fill(means, (counts > 0).to(image.dtype))
    raised = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    filled = torch.where(known > 0, image, raised)
    for _ in range(RELAXATIONS):
        filled = torch.where(known > 0, image, _neighbours(filled))
    return filled


def _neighbours(image: Tensor) -> Tensor:
    """The mean of the four pixels beside each one; at the border it is its own neighbour."""
    framed = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, :-2] + framed[..., 1:-1, 2:]
    return (across + framed[..., :-2, 1:-1] + framed[..., 2:, 1:-1]) / 4
