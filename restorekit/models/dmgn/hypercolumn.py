"""Head Feature Learning of DMGN: an image and five levels of a frozen trunk become `width` channels at full resolution.

The hypercolumn (1475 channels with a VGG) is never stored: its convolution is the sum over slices (dmgn.md 7).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from restorekit.models.dmgn.cells import PartsConv, reflect
from restorekit.models.trunks import Trunk

GROUP = 64  # channels of a level that are resized at a time


class Hypercolumn(nn.Module):
    """HFL (dmgn.md 3.1): (B, 3, H, W) in [-1, 1] to (B, width, H, W).

    The gradient reaches the input through the image's own three channels only: the trunk's maps are constants.
    `group` sets the working set, not the result.
    """

    def __init__(self, width: int, trunk: Trunk | None, group: int = GROUP) -> None:
        super().__init__()
        self.trunk = trunk
        self.group = group
        self.first = PartsConv([3, *(trunk.channels if trunk else ())], width)
        self.second = nn.Conv2d(width, width, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(reflect(self._combine(image).relu_())).relu_()

    def _combine(self, image: Tensor) -> Tensor:
        """The first convolution; in training each slice is resized again in the backward pass instead of being kept."""
        features = self.first.part(reflect(image), 0, bias=True)
        if self.trunk is None:
            return features
        features = features.to(image.dtype)  # two dozen slices add up in float32 under autocast
        size, start = list(image.shape[-2:]), image.shape[1]
        with torch.no_grad():
            level = self.trunk.normalize(image)
        for stage in self.trunk.stages():
            with torch.no_grad():
                level = stage(level)
            for group in level.split(self.group, dim=1):
                weight = self.first.weight[:, start : start + group.shape[1]]
                if torch.is_grad_enabled():
                    part = checkpoint(_slice, group, weight, size, use_reentrant=False, preserve_rng_state=False)
                else:
                    part = _slice(group, weight, size)
                features += part
                del part
                start += group.shape[1]
        return features


def _slice(level: Tensor, weight: Tensor, size: list[int]) -> Tensor:
    return F.conv2d(reflect(_resize(level, size)), weight)


def _resize(level: Tensor, size: list[int]) -> Tensor:
    if list(level.shape[-2:]) == size:
        return level
    return F.interpolate(level, size=size, mode="bilinear", align_corners=False)
