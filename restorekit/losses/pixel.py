"""Pixel distances between images, and losses of predicted masks: means over all values, in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor

RARE = 0.1  # share of white pixels below which Dice counts
LEVEL = 1e-3  # mean squared error, 30 dB, below which an image counts less and less
TIE = 1e-6  # keeps a difference of exactly tau below the threshold, for any rounding; as in metrics/mask_metrics.py


def l1(image: Tensor, target: Tensor) -> Tensor:
    """The mean of |image - target|, a scalar."""
    return (image.float() - target.float()).abs().mean()


def huber(image: Tensor, target: Tensor, delta: float) -> Tensor:
    """The mean of e^2 / (2 delta) below an error e of `delta` and of e - delta / 2 above it, a scalar.

    The slope for large errors equals that of l1. If most pixels are clean already, as in light rain, the majority sets
    l1's gradient, and the median solution is to change nothing. The errors set the gradient of huber.
    """
    return F.huber_loss(image.float(), target.float(), delta=delta) / delta


def log_mse(image: Tensor, target: Tensor) -> Tensor:
    """The mean over the images of log(mse + 1e-3), a scalar, for (B, C, H, W) on the scale of [0, 1].

    The negative of PSNR up to a factor (Chen et al., HINet, CVPR-W 2021), level above 30 dB. A lightly degraded image
    counts nearly as much as one in dense rain, whose squared errors are a hundred times as large. With a lower level
    the images that are almost clean drown the others (docs/results.md).
    """
    errors = (image.float() - target.float()).square().mean(dim=(1, 2, 3))
    return (errors + LEVEL).log().mean()


def total_variation(image: Tensor) -> Tensor:
    """The mean absolute difference of neighbours in rows plus that of neighbours in columns, for (B, C, H, W)."""
    return l1(image[..., 1:], image[..., :-1]) + l1(image[..., 1:, :], image[..., :-1, :])


def mask_target(degraded: Tensor, clean: Tensor, tau: float) -> Tensor:
    """The mask, float32 (B, 1, H, W): 1 where a channel differs by more than `tau`, else 0 (dakd.md 3).

    Both images are (B, 3, H, W) in [0, 1].
    """
    difference = (degraded.float() - clean.float()).abs().amax(dim=1, keepdim=True)
    return (difference > tau + TIE).to(torch.float32)


def cross_entropy(logit: Tensor, mask: Tensor, white_weight: float = 1.0) -> Tensor:
    """The mean binary cross-entropy of `logit` for `mask` (B, 1, H, W) of 0 and 1, a scalar.

    A white pixel counts `white_weight` times. If a network is seldom sure, the plain loss gives the best F1 at a
    threshold well below a half. With the ratio of black to white pixels as the weight, a half is the best threshold.
    """
    return F.binary_cross_entropy_with_logits(
        logit.float(), mask.float(), pos_weight=torch.full((), white_weight, device=logit.device)
    )


def rare_dice(logit: Tensor, mask: Tensor, below: float = RARE) -> Tensor:
    """The mean over images of 1 - Dice, a scalar; an image with a white share of `below` or more counts 0.

    With few white pixels, cross-entropy alone is satisfied by an empty mask. One pixel is added to the numerator and
    to the denominator.
    """
    found, wanted = logit.float().sigmoid().flatten(1), mask.float().flatten(1)
    overlap = 2 * (found * wanted).sum(dim=1) + 1
    loss = 1 - overlap / (found.sum(dim=1) + wanted.sum(dim=1) + 1)
    return (loss * (wanted.mean(dim=1) < below)).mean()
