"""Pixel distances, in float32: means over all values."""

import torch.nn.functional as F
from torch import Tensor


def l1(image: Tensor, target: Tensor) -> Tensor:
    """The mean of |image - target|, a scalar."""
    return (image.float() - target.float()).abs().mean()


def huber(image: Tensor, target: Tensor, delta: float) -> Tensor:
    """The mean of e^2 / (2 delta) below an error e of `delta` and of e - delta / 2 above it, a scalar.

    Its slope for large errors is that of l1. Where most pixels are clean already, as in light rain, l1's gradient is
    that of the majority, and the median answer is to change nothing; this one's is that of the errors.
    """
    return F.huber_loss(image.float(), target.float(), delta=delta) / delta
