"""Conversions between 8-bit and float images, and resizing, that say how they round."""

import cv2
import numpy as np


def to_float(image: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of a uint8 or uint16 array, whose largest value becomes 1; float32 is returned as it is."""
    if image.dtype == np.float32:
        return image
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"an image is uint8, uint16 or float32, not {image.dtype}")
    values = image.astype(np.float32)
    values /= np.float32(np.iinfo(image.dtype).max)  # in place: a 4K photo takes 100 MB as it is
    return values


def to_uint8(image: np.ndarray) -> np.ndarray:
    """uint8 of a float array in [0, 1]: clipped, times 255, rounded half to even; uint8 is returned as it is."""
    return image if image.dtype == np.uint8 else quantise(image, np.dtype(np.uint8))


def quantise(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A float array in [0, 1] as uint8 or uint16: clipped, scaled to the full range, rounded half to even."""
    if not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"a float array is expected, not {image.dtype}")
    scaled = np.clip(image, 0.0, 1.0)
    scaled *= image.dtype.type(np.iinfo(dtype).max)
    return np.rint(scaled, out=scaled).astype(dtype)


def resize_short_side(image: np.ndarray, short_side: int) -> np.ndarray:
    """Resizes (H, W) or (H, W, C) so that its shorter side has `short_side` pixels, the other rounded to the nearest.

    Pixel areas are averaged when shrinking; growing is bicubic, clipped to the image's own range. The type stays.
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    if short_side < 1:
        raise ValueError(f"short_side must be at least 1 pixel, not {short_side}")
    if shorter == short_side:
        return image
    scale = short_side / shorter
    size = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    if short_side < shorter:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grown = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    # fmin and fmax pass over NaN, which a disparity has where it is unknown.
    return np.clip(grown, np.fmin.reduce(image, axis=None), np.fmax.reduce(image, axis=None))
