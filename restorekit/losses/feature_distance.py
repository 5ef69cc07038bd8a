"""Distances between the levels of a frozen trunk, each level's mean absolute difference with a weight of its own."""

import torch
from torch import Tensor, nn

from restorekit.losses.perceptual import LEVEL_WEIGHTS
from restorekit.losses.pixel import l1
from restorekit.models.trunks import Trunk

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class FeatureDistance(nn.Module):
    """The weighted sum over relu1_1 ... relu5_1 for images (B, 3, H, W) in [0, 1], 16 pixels a side or more.

    Both trunks get the normalisation that they were trained with (glsgn.md 7); the gradient reaches the first image.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        found, wanted = self._input(image), self._input(target.detach())
        distances = []
        for stage, weight in zip(self.trunk.stages(), LEVEL_WEIGHTS, strict=True):
            found = stage(found)
            with torch.no_grad():
                wanted = stage(wanted)
            distances.append(weight * l1(found, wanted))
        return torch.stack(distances).sum()

    def _input(self, image: Tensor) -> Tensor:
        return (image.float() - self.get_buffer("mean")) / self.get_buffer("std")
