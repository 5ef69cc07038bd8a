"""Geometric self-ensemble: a network restores the eight views of an image that mirroring and turning give, and what it
makes of them is turned back and averaged (Timofte et al., CVPR 2016; Lim et al., "EDSR", CVPR workshops 2017)."""

from collections.abc import Callable

import numpy as np

NUM_VIEWS = 8

# Restores float32 (H, W, 3) with a mask (H, W) or None; the third is the number of the view, from 0.
RestoreView = Callable[[np.ndarray, np.ndarray | None, int], np.ndarray]


def mean_of_views(restore: RestoreView, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The mean, float32 (H, W, 3), of what `restore` makes of all views of `image`; half of them are W x H."""
    total = np.zeros(image.shape, np.float32)
    for view in range(NUM_VIEWS):
        seen_mask = None if mask is None else seen(mask, view)
        total += seen_back(restore(seen(image, view), seen_mask, view), view)
    total /= NUM_VIEWS
    return total


def seen(array: np.ndarray, view: int) -> np.ndarray:
    """`array` (H, W, ...) upside down, mirrored and transposed, as bits 0, 1 and 2 of `view` have it; a view of it."""
    array = array[::-1] if view & 1 else array
    array = array[:, ::-1] if view & 2 else array
    return array.swapaxes(0, 1) if view & 4 else array


def seen_back(array: np.ndarray, view: int) -> np.ndarray:
    """What gives `array` when it is `seen` in that view."""
    array = array.swapaxes(0, 1) if view & 4 else array
    array = array[:, ::-1] if view & 2 else array
    return array[::-1] if view & 1 else array
