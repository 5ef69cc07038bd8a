"""Total variation: how much an image changes from each pixel to the next."""

from torch import Tensor

from restorekit.losses.pixel import l1


def total_variation(image: Tensor) -> Tensor:
    """The mean absolute difference of neighbours in a row plus that of neighbours in a column, of (B, C, H, W)."""
    return l1(image[..., 1:], image[..., :-1]) + l1(image[..., 1:, :], image[..., :-1, :])
