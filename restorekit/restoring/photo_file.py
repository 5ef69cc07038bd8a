"""Restores one photo's file into another: read, restored, blended, written whole or not at all."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import write_atomically
from restorekit.image import Photo, check_format, encode_rgb, read_image, to_float, to_uint8, write_image
from restorekit.image.keeping import left_behind
from restorekit.restoring.selection import Errand
from restorekit.restoring.windows import fill_holes

if TYPE_CHECKING:
    from restorekit.inference.restorer import OnTile, Restorer
    from restorekit.restoring.masks import MaskSource

Note = Callable[[str], None]  # takes a sentence for the user

PANEL = 2048  # pixels of the longer side of a before/after picture's half
GUTTER = 8  # white pixels between the halves


@dataclass(frozen=True)
class Wishes:
    """What is wished for all photos of a command."""

    strength: float = 1.0  # 0: the photo as it is, 1: as the network restores it
    compare: bool = False  # also a before/after picture
    keep_time: bool = False  # the result has the photo's time of change
    masks: "MaskSource | None" = None


def restore_file(
    errand: Errand, restorer: "Restorer", wishes: Wishes, note: Note, on_tile: "OnTile | None" = None
) -> Photo:
    """Writes the restored photo and returns it; everything that the result cannot keep is noted before.

    Raises a RestorekitError where the photo, its mask or its result is at fault; then no file is left behind.
    """
    photo = read_image(errand.photo)
    times = errand.photo.stat()
    for sentence in photo.notes:
        note(sentence)
    check_format(errand.target, photo)  # before the restoration, not after
    for sentence in left_behind(errand.target, photo):
        note(sentence)
    mask = None if wishes.masks is None else wishes.masks.of(errand, photo, note)
    restored = photo.with_pixels(restore_pixels(photo.pixels, restorer, mask, wishes.strength, on_tile))
    if wishes.compare:
        _write_compare(errand, photo, restored)
    write_image(errand.target, restored)  # last: a result that exists is complete
    if wishes.keep_time:
        os.utime(errand.target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return restored


def _write_compare(errand: Errand, before: Photo, after: Photo) -> None:
    data = encode_rgb(before_after(before.pixels, after.pixels), "jpeg")
    try:
        with write_atomically(errand.compare) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise RestorekitError(f"{errand.compare} cannot be written: {error.strerror}") from error


def restore_pixels(
    pixels: np.ndarray,
    restorer: "Restorer",
    mask: np.ndarray | None = None,
    strength: float = 1.0,
    on_tile: "OnTile | None" = None,
) -> np.ndarray:
    """float32 (H, W, 3) in [0, 1]: uint8 or float32 `pixels`, restored with the share `strength`.

    Where `mask` (H, W) is 0, the pixels stay as they are, to the bit.
    """
    image = to_float(pixels)
    restored = restorer.restore(image, None, on_tile) if mask is None else fill_holes(restorer, image, mask, on_tile)
    return restored if strength == 1.0 else image + np.float32(strength) * (restored - image)


def before_after(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 3): two images of one size beside each other, or one above the other where they are wide."""
    panels = [fitted(to_uint8(image), PANEL) for image in (before, after)]
    height, width = panels[0].shape[:2]
    axis = 0 if width > 1.5 * height else 1
    gap = np.full((GUTTER, width, 3) if axis == 0 else (height, GUTTER, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1]], axis=axis)


def fitted(image: np.ndarray, longest: int) -> np.ndarray:
    """`image` (H, W, ...), reduced to a longer side of at most `longest` pixels; never enlarged."""
    scale = longest / max(image.shape[:2])
    if scale >= 1.0:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
