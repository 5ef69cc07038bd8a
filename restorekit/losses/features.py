"""Distances between what a frozen VGG-16 sees, after its first three poolings: contents and styles (madf.md 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restorekit.losses.pixel import l1
from restorekit.models.trunks import Trunk


class PooledFeatures(nn.Module):
    """phi: three levels for an ImageNet-normalised image (B, 3, H, W), 8 pixels a side or more."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, image: Tensor) -> list[Tensor]:
        device, features, levels = image.device.type, image, []
        # float16 cannot hold VGG's greatest responses
        with torch.autocast(device, dtype=torch.bfloat16, enabled=torch.is_autocast_enabled(device)):
            for stage in self.trunk.pooled_stages():
                features = stage(features)
                levels.append(features)
        return levels


def content(levels: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The sum over levels of the mean absolute difference, a scalar."""
    return torch.stack([l1(one, other) for one, other in zip(levels, wanted, strict=True)]).sum()


def style(levels: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The same of their Gram matrices."""
    return content([gram(level) for level in levels], [gram(level) for level in wanted])


def gram(features: Tensor) -> Tensor:
    """F F^T / (C H W) of features (B, C, H, W), float32 (B, C, C)."""
    with torch.autocast(features.device.type, enabled=False):
        rows = features.float().flatten(2)
        return rows @ rows.mT / rows[0].numel()
