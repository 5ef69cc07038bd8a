"""The adversarial losses of dmgn.md section 8, and the critic, which scores patches of an image pair."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.config.dmgn import CRITIC_MIN_SIZE
from restorekit.errors import RestorekitError


class PatchDiscriminator(nn.Module):
    """Five 4x4 convolutions with LeakyReLU 0.2 between and no normalisation, 2,767,809 parameters (dmgn.md 8)."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(6, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 1), (512, 1, 1)]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, stride, padding=1) for a, b, stride in shapes)

    def forward(self, degraded: Tensor, background: Tensor) -> Tensor:
        """Logits (B, 1, h, w), one per patch, for two images (B, 3, H, W) in [-1, 1]; the sigmoid is the paper's D."""
        if min(degraded.shape[-2:]) < CRITIC_MIN_SIZE:
            raise RestorekitError(
                f"the critic needs images of {CRITIC_MIN_SIZE} pixels a side or more: raise train.crop"
            )
        features = torch.cat([degraded, background], dim=1)
        for layer in self.layers[:-1]:
            features = F.leaky_relu(layer(features), 0.2)
        return self.layers[-1](features)


def generator_loss(judged: Tensor) -> Tensor:
    """mean(-log D) for the logits of restored images."""
    return F.softplus(-judged.float()).mean()


def critic_loss(clean: Tensor, restored: Tensor) -> Tensor:
    """0.5 mean(-log D(clean) - log(1 - D(restored))) for the logits of clean and restored images."""
    return 0.5 * (F.softplus(-clean.float()).mean() + F.softplus(restored.float()).mean())
