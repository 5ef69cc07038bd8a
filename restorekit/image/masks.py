"""A mask of a person's: any picture that is white where something is missing, for a photo of its size."""

from pathlib import Path

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.image.arrays import to_float
from restorekit.image.reading import read_image

THRESHOLD = 0.5  # brightness from which on a pixel is missing; what is transparent counts as black


def read_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """The mask as float32 (H, W), 1 = missing and 0 = kept, of `size`, which is (height, width) of the upright photo.

    Raises a RestorekitError where the file is no picture, has another size, or is all white or all black.
    """
    picture = read_image(path)
    if (picture.height, picture.width) != size:
        raise RestorekitError(
            f"the mask {path} has {picture.width} x {picture.height} pixels and the photo {size[1]} x {size[0]}: "
            f"make it of the photo's size"
        )
    brightness = to_float(picture.pixels).mean(axis=2)
    if picture.alpha is not None:
        alpha = picture.alpha.astype(np.float32)
        brightness *= alpha / 255 if picture.alpha.dtype == np.uint8 else alpha
    missing = brightness >= THRESHOLD
    if missing.all() or not missing.any():
        found = (
            "white everywhere: nothing is left to go by" if missing.all() else "black everywhere: nothing is missing"
        )
        raise RestorekitError(
            f"the mask {path} is {found}; it must be white where something is missing, black elsewhere"
        )
    return missing.astype(np.float32)
