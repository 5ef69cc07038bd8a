"""Peak signal-to-noise ratios in dB between two 8-bit images, finite also for equal images."""

import math

import numpy as np

PEAK = 255.0
STRIP_VALUES = 2**24
CAP_DB = 100.0  # also the value for equal images; a difference of one level in one value of a 4K image is 122 dB

# Rec. ITU-R BT.601 for R'G'B' in [0, 255]: black is 16, white is 235. Full-range luma reads 1.32 dB lower.
LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255.0
LUMA_BLACK = 16.0


def psnr_rgb(restored: np.ndarray, clean: np.ndarray) -> float:
    """PSNR from one mean squared error over all values of uint8 (H, W, 3) images, no crop; at most `CAP_DB`."""
    return _ratio(_squared_error(restored, clean))


def psnr_of(restored: np.ndarray, clean: np.ndarray) -> float:
    """PSNR of two arrays of 8-bit values of one shape, such as some pixels of two images; at most `CAP_DB`."""
    return _ratio(_squared_error(restored, clean))


def psnr_y(restored: np.ndarray, clean: np.ndarray) -> float:
    """PSNR on limited-range BT.601 luma, peak 255 (MATLAB, BasicSR `test_y_channel`); at most `CAP_DB`."""
    return _ratio(_squared_error(limited_luma(restored), limited_luma(clean)))


def psnr_dmgn(restored: np.ndarray, clean: np.ndarray) -> float:
    """PSNR by DMGN's protocol (dmgn.md, section 11): the mean of each RGB channel's ratio; at most `CAP_DB`.

    Takes uint8, or floats in [0, 255] as DMGN's own script does; the script clips but does not round.
    """
    return float(np.mean([_ratio(_squared_error(restored[..., c], clean[..., c])) for c in range(restored.shape[-1])]))


def limited_luma(image: np.ndarray) -> np.ndarray:
    """Luma of (H, W, 3) sRGB in [0, 255], float64 (H, W) in [16, 235]: the Y of every "PSNR on Y" in the literature.

    Not rounded, as in BasicSR; MATLAB rounds.
    """
    return LUMA_BLACK + image.astype(np.float64) @ LUMA_WEIGHTS


def _squared_error(restored: np.ndarray, clean: np.ndarray) -> float:
    """The mean squared error, in strips for large images: three float64 copies of an 8K frame would take 2 GiB."""
    if clean.size <= STRIP_VALUES:
        return float(np.mean(np.square(restored.astype(np.float64) - clean.astype(np.float64))))
    rows = max(1, STRIP_VALUES * clean.shape[0] // clean.size)
    total = 0.0
    for first in range(0, clean.shape[0], rows):
        found, wanted = (one[first : first + rows].astype(np.float64) for one in (restored, clean))
        total += float(np.square(found - wanted).sum())
    return total / clean.size


def _ratio(squared_error: float) -> float:
    if squared_error == 0.0:
        return CAP_DB
    return min(10.0 * math.log10(PEAK**2 / squared_error), CAP_DB)
