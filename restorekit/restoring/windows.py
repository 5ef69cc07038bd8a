"""Fills the holes of a large photo from windows around them, instead of passing the whole photo through a network."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from restorekit.inference.restorer import OnTile, Restorer

CONTEXT = 128  # pixels around a hole, at least: with it a small hole has the size of a training crop, 256
WORTH_IT = 0.5  # share of the photo in windows from which the whole photo is the simpler way

Window = tuple[slice, slice]


def fill_holes(
    restorer: "Restorer", image: np.ndarray, mask: np.ndarray, on_tile: "OnTile | None" = None
) -> np.ndarray:
    """`image`, float32 (H, W, 3) in [0, 1], with the pixels filled where `mask`, float32 (H, W), is not 0.

    All other pixels come back to the bit. Holes that lie close together share a window.
    """
    windows = windows_around(mask, restorer.descriptor.size_multiple)
    area = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in windows)
    if area > WORTH_IT * mask.size:
        return restorer.restore(image, mask, on_tile)
    filled = image.copy()
    inner = on_tile if len(windows) == 1 else None
    for done, window in enumerate(windows, start=1):
        filled[window] = restorer.restore(np.ascontiguousarray(image[window]), mask[window].copy(), inner)
        if on_tile and inner is None:
            on_tile(done, len(windows))
    return filled


def windows_around(mask: np.ndarray, multiple: int = 1) -> list[Window]:
    """Disjoint windows that hold every hole of `mask` (H, W), with at least `CONTEXT` pixels around it.

    A hole longer than that has half its length as context. Windows start at multiples of `multiple`, so that a network
    with strides sees the same grid as on the whole photo; at the photo's border they end.
    """
    height, width = mask.shape
    boxes = [_widened(box, height, width, multiple) for box in _boxes(mask != 0)]
    while True:  # joined windows can touch others; each turn leaves fewer
        covered = np.zeros((height, width), bool)
        for top, bottom, left, right in boxes:
            covered[top:bottom, left:right] = True
        joined = _boxes(covered)
        if len(joined) == len(boxes):
            return [(slice(top, bottom), slice(left, right)) for top, bottom, left, right in joined]
        boxes = joined


def _boxes(parts: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each connected part of a boolean array."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(parts.astype(np.uint8), connectivity=8)
    return [
        (int(top), int(top + height), int(left), int(left + width))
        for left, top, width, height, _ in stats[1:].tolist()
    ]


def _widened(box: tuple[int, int, int, int], height: int, width: int, multiple: int) -> tuple[int, int, int, int]:
    top, bottom, left, right = box
    context = max(CONTEXT, max(bottom - top, right - left) // 2)
    return (
        max(0, top - context) // multiple * multiple,
        min(height, -(-(bottom + context) // multiple) * multiple),
        max(0, left - context) // multiple * multiple,
        min(width, -(-(right + context) // multiple) * multiple),
    )
