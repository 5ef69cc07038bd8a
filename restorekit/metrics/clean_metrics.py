"""What a network does to a clean image, which it should leave as it is: the table is CLEAN_METRICS.

Only the evaluation reads this table: a new figure restarts no training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from restorekit.metrics.protocols import check_pair
from restorekit.metrics.psnr import psnr_rgb

# Rounding to 8 bits alone costs 58.9 dB (a mean squared error of 1/12). A few images that come out unchanged, at 100 dB
# by the other protocols, would hide in a mean what a network does to all others.
CLEAN_CAP_DB = 60.0


@dataclass(frozen=True)
class CleanMetric:
    """A figure: `measure(restored, clean)` of uint8 (H, W, 3) sRGB images of one size, None where it is undefined."""

    measure: Callable[[np.ndarray, np.ndarray], float | None]
    untouched: float  # the value of an image that comes out unchanged; the nearer to it, the better
    unit: str  # "" for a number without a unit
    digits: int  # after the point, in tables for people
    signed: bool
    says: str  # the figure in one line, for the report


def measure_clean(restored: np.ndarray, clean: np.ndarray) -> dict[str, float | None]:
    """Every figure of CLEAN_METRICS for uint8 (H, W, 3) sRGB images of one size."""
    check_pair(restored, clean)
    return {name: metric.measure(restored, clean) for name, metric in CLEAN_METRICS.items()}


def clean_psnr(restored: np.ndarray, clean: np.ndarray) -> float:
    """`psnr_rgb` in dB, at most CLEAN_CAP_DB."""
    return min(psnr_rgb(restored, clean), CLEAN_CAP_DB)


def clean_detail(restored: np.ndarray, clean: np.ndarray) -> float | None:
    """The energy of the Laplacian (four neighbours, all channels) of the restored image over that of the clean one.

    1 where all fine detail is left, less where the image is blurred, more where it is sharpened or noise is added.
    None for a clean image without any detail.
    """
    energy = _laplacian_energy(clean)
    return _laplacian_energy(restored) / energy if energy else None


def clean_shift(restored: np.ndarray, clean: np.ndarray) -> float:
    """The mean of restored - clean over all values, in 8-bit levels: negative where the image comes out darker."""
    return float(restored.sum(dtype=np.int64) - clean.sum(dtype=np.int64)) / clean.size


def _laplacian_energy(image: np.ndarray) -> float:
    """The sum of squares of the Laplacian of (H, W, 3) values; one channel at a time, as an 8K frame needs 130 MB."""
    laplacians = (cv2.Laplacian(np.ascontiguousarray(image[..., c]), cv2.CV_32F) for c in range(image.shape[-1]))
    return sum(cv2.norm(one, cv2.NORM_L2SQR) for one in laplacians)


CLEAN_PSNR = "clean_psnr"  # the figure that the promotion gate has a floor for
CLEAN_METRICS: dict[str, CleanMetric] = {
    CLEAN_PSNR: CleanMetric(
        clean_psnr, CLEAN_CAP_DB, "dB", 2, False, f"psnr_rgb against the clean photograph, at most {CLEAN_CAP_DB:g} dB"
    ),
    "clean_detail": CleanMetric(
        clean_detail, 1.0, "", 3, False, "share of fine detail that is left: energy of the Laplacian over the clean one"
    ),
    "clean_shift": CleanMetric(clean_shift, 0.0, "levels", 2, True, "mean change of all values, in 8-bit levels"),
}
