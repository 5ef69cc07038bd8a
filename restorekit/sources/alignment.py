"""The shift between the two photographs of a pair, by phase correlation, so that pairs that do not fit are named.

A camera that was touched, or a scene that moved, between the two exposures leaves a network no way to be right about
edges. Of 144 public pairs none is told as it lies, and all are when shifted by 5 pixels, and by 2 but for one that is
shifted by one pixel the other way. The estimate is off by 0.3 pixel at most, but for pairs that do not fit as they
lie, by up to a pixel: of Real20, of CEILNet's photographs, and of GoPro, whose blur of an even number of frames has no
middle one.
"""

import math
from collections.abc import Callable, Iterable

import cv2
import numpy as np

TOLD = 1.25  # pixels from which a shift is told: one, and the error of the estimate
SIDE = 1536  # pixels of the long side at which larger photographs are compared, which bounds the time
CHECKED = 40  # pairs of a set that are compared, evenly spaced over it
NAMED = 5  # pairs that a note names
_LEAST_PEAK = 0.06  # response of phase correlation: photographs of one scene have 0.1 or more
_SMALLEST = 16  # pixels a side

Loaded = tuple[str, np.ndarray, np.ndarray]  # a pair's name and its images, uint8 (H, W, 3) of one size


def shift_of(degraded: np.ndarray, clean: np.ndarray) -> float | None:
    """The distance in pixels between two uint8 (H, W, 3) photographs of one scene; None where they do not tell."""
    height, width = degraded.shape[:2]
    factor = max(1.0, max(height, width) / SIDE)
    grey: list[np.ndarray] = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (degraded, clean)]
    if factor > 1:
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        grey = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in grey]
    rows, columns = (_transformed(side) for side in grey[0].shape)
    if min(rows, columns) < _SMALLEST:
        return None
    top, left = (grey[0].shape[0] - rows) // 2, (grey[0].shape[1] - columns) // 2
    one, two = (np.ascontiguousarray(image[top : top + rows, left : left + columns]) for image in grey)
    if min(float(one.std()), float(two.std())) < 1e-3:
        return None
    (x, y), peak = cv2.phaseCorrelate(one, two, cv2.createHanningWindow((columns, rows), cv2.CV_32F))
    return math.hypot(x, y) * factor if peak >= _LEAST_PEAK and math.isfinite(x + y) else None


def shift_note(where: str, total: int, load: Callable[[int], Iterable[Loaded]]) -> str | None:
    """A line that names the pairs shifted by more than a pixel, the worst first; None without such a pair.

    `load(number)` gives the pair of that number, of `total`, or nothing where the pair has no clean image.
    """
    numbers = range(total) if total <= CHECKED else [total * one // CHECKED for one in range(CHECKED)]
    loaded = [(name, shift_of(degraded, clean)) for number in numbers for name, degraded, clean in load(number)]
    found = sorted(((shift, name) for name, shift in loaded if shift is not None and shift >= TOLD), reverse=True)
    if not found:
        return None
    listing = ", ".join(f"{name} by {shift:.1f}" for shift, name in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (
        f"{where}: {len(found)} of {len(loaded)} pairs looked at are shifted by more than a pixel: {listing}{more}; "
        "align or leave them out, or edges come out soft"
    )


def _transformed(side: int) -> int:
    """The largest even length up to `side` that is transformed without padding.

    OpenCV pads to a length that may be odd, and is then wrong by half a pixel.
    """
    while side > 1 and (side % 2 or cv2.getOptimalDFTSize(side) != side):
        side -= 1
    return side
