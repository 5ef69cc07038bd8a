"""Geometric self-ensemble: the mean of an image restored in several views, mirrored and turned as in training.

The restored views are turned back and averaged (Timofte et al., CVPR 2016; Lim et al., "EDSR", CVPR workshops 2017, who
take all eight views). Only views that the training saw are taken: with rain falling sideways the mean was worse.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError

View = tuple[str, ...]  # the flips in order; the empty view is the image as it is
AS_IT_IS: tuple[View, ...] = ((),)

# Restores float32 (H, W, 3) with a mask (H, W) or None; the third argument is the number of the view, from 0.
RestoreView = Callable[[np.ndarray, np.ndarray | None, int], np.ndarray]

# Each flip is its own inverse. "channels", a training's fourth flip, permutes colours and turns nothing.
_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "horizontal": lambda array: array[:, ::-1],
    "vertical": lambda array: array[::-1],
    "transpose": lambda array: array.swapaxes(0, 1),
}

_UNKNOWN = ("horizontal",)  # for records that do not name the flips: a mirrored scene is as likely as the scene


def trained_views(record: Mapping[str, Any]) -> tuple[View, ...]:
    """The views that a model's training saw, from its `record`; a record without "flips" counts as mirrored.

    A RestorekitError where the record's flips are not a list of flips.
    """
    flips = record.get("flips", _UNKNOWN)
    if not isinstance(flips, list | tuple) or not all(flip in (*_FLIPS, "channels") for flip in flips):
        raise RestorekitError(f"the model's record has flips {flips!r}, which are not known flips: train the run again")
    return views_of(flips)


def views_of(flips: Sequence[str]) -> tuple[View, ...]:
    """All 2^n views made by subsets of n `flips`, in their order; the first is the image as it is."""
    views = AS_IT_IS
    for flip in dict.fromkeys(flips):
        if flip in _FLIPS:
            views += tuple((*view, flip) for view in views)
    return views


def mean_of_views(
    restore: RestoreView, image: np.ndarray, mask: np.ndarray | None, views: Sequence[View]
) -> np.ndarray:
    """The mean, float32 (H, W, 3), of `image` restored in each of `views`; a transposed view is W x H."""
    total = np.zeros(image.shape, np.float32)
    for number, view in enumerate(views):
        seen_mask = None if mask is None else seen(mask, view)
        total += seen_back(restore(seen(image, view), seen_mask, number), view)
    total /= len(views)
    return total


def seen(array: np.ndarray, view: View) -> np.ndarray:
    """The array (H, W, ...) turned into `view`, without a copy."""
    for flip in view:
        array = _FLIPS[flip](array)
    return array


def seen_back(array: np.ndarray, view: View) -> np.ndarray:
    """The inverse of `seen`: turns an array in `view` back."""
    return seen(array, view[::-1])
