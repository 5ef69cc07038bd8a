"""Structural similarity (Wang et al. 2004) in two protocols that differ in window and covariance."""

import numpy as np
from skimage.metrics import structural_similarity

from restorekit.metrics.luma import limited_luma

GAUSSIAN_WINDOW = 11  # pixels: sigma 1.5, cut at 3.5 sigma
UNIFORM_WINDOW = 7  # pixels: the default of scikit-image


def ssim_rgb(restored: np.ndarray, clean: np.ndarray) -> float:
    """Gaussian window of sigma 1.5, per channel of uint8 (H, W, 3) images, averaged; range 255, a border of 5 out."""
    return _gaussian(restored, clean, channel_axis=-1)


def ssim_y(restored: np.ndarray, clean: np.ndarray) -> float:
    """The same on limited-range BT.601 luma, range 255 (MATLAB, BasicSR `test_y_channel`)."""
    return _gaussian(limited_luma(restored), limited_luma(clean), channel_axis=None)


def ssim_dmgn(restored: np.ndarray, clean: np.ndarray) -> float:
    """DMGN's protocol (dmgn.md, section 11): 7 x 7 uniform window, sample covariance, per channel, averaged."""
    return float(
        structural_similarity(
            clean, restored, win_size=UNIFORM_WINDOW, data_range=255, channel_axis=-1, use_sample_covariance=True
        )
    )


def _gaussian(restored: np.ndarray, clean: np.ndarray, channel_axis: int | None) -> float:
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
