"""Pixel distances of images and losses of predicted masks, in float32: means over all values."""

import torch
import torch.nn.functional as F
from torch import Tensor

RARE = 0.1  # share of white pixels below which Dice counts
TIE = 1e-6  # keeps a difference of exactly tau below the threshold, whatever the rounding; as in metrics/masks.py


def l1(image: Tensor, target: Tensor) -> Tensor:
    """The mean of |image - target|, a scalar."""
    return (image.float() - target.float()).abs().mean()


def huber(image: Tensor, target: Tensor, delta: float) -> Tensor:
    """The mean of e^2 / (2 delta) below an error e of `delta` and of e - delta / 2 above it, a scalar.

    Its slope for large errors is that of l1. Where most pixels are clean already, as in light rain, l1's gradient is
    that of the majority, and the median answer is to change nothing; this one's is that of the errors.
    """
    return F.huber_loss(image.float(), target.float(), delta=delta) / delta


def total_variation(image: Tensor) -> Tensor:
    """The mean absolute difference of neighbours in a row plus that of neighbours in a column, of (B, C, H, W)."""
    return l1(image[..., 1:], image[..., :-1]) + l1(image[..., 1:, :], image[..., :-1, :])


def mask_target(degraded: Tensor, clean: Tensor, tau: float) -> Tensor:
    """1 where a channel of two images (B, 3, H, W) in [0, 1] differs by more than `tau`, else 0 (dakd.md 3).

    Float32 (B, 1, H, W).
    """
    difference = (degraded.float() - clean.float()).abs().amax(dim=1, keepdim=True)
    return (difference > tau + TIE).to(torch.float32)


def cross_entropy(logit: Tensor, mask: Tensor, white_weight: float = 1.0) -> Tensor:
    """The mean binary cross-entropy of `logit` for `mask` (B, 1, H, W) of 0 and 1, a scalar.

    A white pixel counts `white_weight` times. Where a network is seldom sure, F1 is best well below a half of the
    plain loss's probability; with the ratio of black to white as the weight, a half stands there.
    """
    return F.binary_cross_entropy_with_logits(
        logit.float(), mask.float(), pos_weight=logit.new_tensor(white_weight).float()
    )


def rare_dice(logit: Tensor, mask: Tensor, below: float = RARE) -> Tensor:
    """The mean over images of 1 - Dice, a scalar; an image of which `below` or more is white counts 0.

    Where little is white, cross-entropy alone is content with nothing. One pixel is added above and below the line.
    """
    found, wanted = logit.float().sigmoid().flatten(1), mask.float().flatten(1)
    overlap = 2 * (found * wanted).sum(dim=1) + 1
    loss = 1 - overlap / (found.sum(dim=1) + wanted.sum(dim=1) + 1)
    return (loss * (wanted.mean(dim=1) < below)).mean()
