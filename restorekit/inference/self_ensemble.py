"""Geometric self-ensemble: a network restores an image mirrored and turned as its training's images were, and what it
makes of them is turned back and averaged (Timofte et al., CVPR 2016; Lim et al., "EDSR", CVPR workshops 2017, who take
all eight views). Of a view that it never saw it knows nothing: with rain that falls sideways the mean was worse."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError

View = tuple[str, ...]  # the flips that make it, one after the other; none: the image as it is
AS_IT_IS: tuple[View, ...] = ((),)

# Restores float32 (H, W, 3) with a mask (H, W) or None; the third is the number of the view, from 0.
RestoreView = Callable[[np.ndarray, np.ndarray | None, int], np.ndarray]

# Each is its own inverse. "channels" of a training's flips mixes colours and turns nothing.
_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "horizontal": lambda array: array[:, ::-1],
    "vertical": lambda array: array[::-1],
    "transpose": lambda array: array.swapaxes(0, 1),
}

_UNKNOWN = ("horizontal",)  # taken for what does not say how it was trained: a mirrored scene is as likely as the scene


def trained_views(record: Mapping[str, Any]) -> tuple[View, ...]:
    """The views that the training of a model saw, by its `record`; one that has no "flips" is taken to have mirrored.

    A RestorekitError where they are no list of flips.
    """
    flips = record.get("flips", _UNKNOWN)
    if not isinstance(flips, list | tuple) or not all(flip in (*_FLIPS, "channels") for flip in flips):
        raise RestorekitError(f"the model's record has flips {flips!r}, which are none: train the run again")
    return views_of(flips)


def views_of(flips: Sequence[str]) -> tuple[View, ...]:
    """All 2^n views that some of n `flips`, in their order, make of an image; the first is the image as it is."""
    views = AS_IT_IS
    for flip in dict.fromkeys(flips):
        if flip in _FLIPS:
            views += tuple((*view, flip) for view in views)
    return views


def mean_of_views(
    restore: RestoreView, image: np.ndarray, mask: np.ndarray | None, views: Sequence[View]
) -> np.ndarray:
    """The mean, float32 (H, W, 3), of what `restore` makes of `views` of `image`; a transposed one is W x H."""
    total = np.zeros(image.shape, np.float32)
    for number, view in enumerate(views):
        seen_mask = None if mask is None else seen(mask, view)
        total += seen_back(restore(seen(image, view), seen_mask, number), view)
    total /= len(views)
    return total


def seen(array: np.ndarray, view: View) -> np.ndarray:
    """`array` (H, W, ...) in that view, without a copy."""
    for flip in view:
        array = _FLIPS[flip](array)
    return array


def seen_back(array: np.ndarray, view: View) -> np.ndarray:
    """What gives `array` when it is `seen` in that view."""
    return seen(array, view[::-1])
