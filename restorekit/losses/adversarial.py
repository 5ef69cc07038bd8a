"""The log-GAN losses of dmgn.md section 8, from logits: finite for any finite logit, so no 1e-12 is needed."""

import torch.nn.functional as F
from torch import Tensor


def generator_loss(judged: Tensor) -> Tensor:
    """mean(-log D) for the logits of restored images."""
    return F.softplus(-judged.float()).mean()


def critic_loss(clean: Tensor, restored: Tensor) -> Tensor:
    """0.5 mean(-log D(clean) - log(1 - D(restored))) for the logits of both."""
    return 0.5 * (F.softplus(-clean.float()).mean() + F.softplus(restored.float()).mean())
