"""Losses of a predicted mask, from logits, in float32: finite for any finite logit and for masks of all 0 or 1."""

import torch.nn.functional as F
from torch import Tensor

RARE = 0.1  # share of white pixels below which `dice` counts


def cross_entropy(logit: Tensor, mask: Tensor) -> Tensor:
    """The mean binary cross-entropy of `logit` for `mask` (B, 1, H, W) of 0 and 1, a scalar."""
    return F.binary_cross_entropy_with_logits(logit.float(), mask.float())


def rare_dice(logit: Tensor, mask: Tensor, below: float = RARE) -> Tensor:
    """The mean over images of 1 - Dice, a scalar; an image of which `below` or more is white counts 0.

    Where little is white, cross-entropy alone is content with nothing. One pixel is added above and below the line.
    """
    found, wanted = logit.float().sigmoid().flatten(1), mask.float().flatten(1)
    overlap = 2 * (found * wanted).sum(dim=1) + 1
    loss = 1 - overlap / (found.sum(dim=1) + wanted.sum(dim=1) + 1)
    return (loss * (wanted.mean(dim=1) < below)).mean()
