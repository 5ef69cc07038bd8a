"""Structural similarity (Wang et al. 2004) in two protocols that differ in window and covariance."""

from collections.abc import Callable

import numpy as np
from skimage.metrics import structural_similarity

from restorekit.metrics.luma import limited_luma

GAUSSIAN_WINDOW = 11  # pixels: sigma 1.5, cut at 3.5 sigma
UNIFORM_WINDOW = 7  # pixels: the default of scikit-image
STRIP_PIXELS = 2**21  # of a strip, for images of more than two of them


def ssim_rgb(restored: np.ndarray, clean: np.ndarray) -> float:
    """Gaussian window of sigma 1.5, per channel of uint8 (H, W, 3) images, averaged; range 255, a border of 5 out."""
    return _gaussian(restored, clean, channel_axis=-1)


def ssim_y(restored: np.ndarray, clean: np.ndarray) -> float:
    """The same on limited-range BT.601 luma, range 255 (MATLAB, BasicSR `test_y_channel`)."""
    return _gaussian(limited_luma(restored), limited_luma(clean), channel_axis=None)


def ssim_dmgn(restored: np.ndarray, clean: np.ndarray) -> float:
    """DMGN's protocol (dmgn.md, section 11): 7 x 7 uniform window, sample covariance, per channel, averaged."""
    return in_strips(_uniform, restored, clean, UNIFORM_WINDOW // 2)


def _uniform(restored: np.ndarray, clean: np.ndarray) -> float:
    return float(
        structural_similarity(
            clean, restored, win_size=UNIFORM_WINDOW, data_range=255, channel_axis=-1, use_sample_covariance=True
        )
    )


def in_strips(
    measure: Callable[[np.ndarray, np.ndarray], float], restored: np.ndarray, clean: np.ndarray, border: int
) -> float:
    """The mean of a map that `measure` averages without its outermost `border` pixels, from strips of large images.

    scikit-image holds a dozen maps of 8 bytes a value at once: 5 GiB for a frame of 4K.
    """
    height, width = clean.shape[:2]
    rows = max(1, STRIP_PIXELS // width)
    if height * width <= 2 * STRIP_PIXELS:
        return measure(restored, clean)
    total = 0.0
    for first in range(border, height - border, rows):
        last = min(height - border, first + rows)
        strip = np.s_[first - border : last + border]
        total += measure(restored[strip], clean[strip]) * (last - first)
    return total / (height - 2 * border)


def _gaussian(restored: np.ndarray, clean: np.ndarray, channel_axis: int | None) -> float:
    return in_strips(
        lambda found, wanted: _similarity(found, wanted, channel_axis), restored, clean, GAUSSIAN_WINDOW // 2
    )


def _similarity(restored: np.ndarray, clean: np.ndarray, channel_axis: int | None) -> float:
    return float(
        structural_similarity(
            clean,
            restored,
            data_range=255,
            channel_axis=channel_axis,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
