"""Attentive distillation (dakd.md 5): the student's features become the teacher's where and in what those are strong.

Channels are compared after division by their root mean square over positions, so that a term depends neither on the
resolution nor on the channels' scale.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

TEMPERATURE = 0.5  # t
MOST = 4.0  # what an energy over its mean is clipped at
TINY = 1e-6


def distillation(student: Sequence[Tensor], teacher: Sequence[Tensor], attentive: bool = True) -> Tensor:
    """The sum over pairs of maps (B, C, H, W) of their mean squared distance, weighted by the teacher's attention.

    A float32 scalar; no gradient reaches the teacher. Without `attentive` every value counts the same.
    """
    terms = []
    for own, given in zip(student, teacher, strict=True):
        wanted = given.detach().float()
        distances = (normalized(own.float()) - normalized(wanted)).square()
        terms.append((attention(wanted) * distances if attentive else distances).mean())
    return torch.stack(terms).sum()


def normalized(features: Tensor) -> Tensor:
    """Each channel of (B, C, H, W) over its root mean square; a channel of zeros stays zero."""
    return features / (features.square().mean(dim=(2, 3), keepdim=True) + TINY).sqrt()


def attention(teacher: Tensor) -> Tensor:
    """A (B, C, H, W) of mean 1 in each image: a share for each position times a share for each channel."""
    energy = teacher.abs()
    batch, channels, height, width = energy.shape
    places = _share(energy.mean(dim=1).flatten(1)) * (height * width)
    kinds = _share(energy.mean(dim=(2, 3))) * channels
    return places.view(batch, 1, height, width) * kinds.view(batch, channels, 1, 1)


def _share(energy: Tensor) -> Tensor:
    """Softmax of (B, N) energies over their mean; energies of zero share alike."""
    relative = energy / (energy.mean(dim=1, keepdim=True) + TINY)
    return (relative.clamp(max=MOST) / TEMPERATURE).softmax(dim=1)
