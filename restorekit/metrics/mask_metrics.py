"""How well a soft mask finds the degraded pixels, and an image's error at some of its pixels."""

import numpy as np

from restorekit.metrics.psnr import CAP_DB, PEAK

WHITE = 0.5  # a pixel of a soft mask counts as degraded from here on
TIE = 1e-6  # so that a difference of exactly tau is not above it, whatever the rounding


def changed(degraded: np.ndarray, clean: np.ndarray, tau: float) -> np.ndarray:
    """Where a channel of uint8 (H, W, 3) images differs by more than `tau` of the range, bool (H, W) (dakd.md 3)."""
    difference = np.abs(degraded.astype(np.int16) - clean.astype(np.int16)).max(axis=-1)
    return np.asarray(difference / PEAK > tau + TIE)


def iou_f1(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Intersection over union and F1 of a soft mask (H, W) against a bool one; 1 where both are all black."""
    white = predicted >= WHITE
    both, either = int(np.sum(white & truth)), int(np.sum(white | truth))
    if not either:
        return 1.0, 1.0
    return both / either, 2 * both / (both + either)


def auc(predicted: np.ndarray, truth: np.ndarray) -> float | None:
    """The chance that a white pixel of the bool mask is higher in the soft one than a black one, ties counting half.

    None where all pixels of the bool mask are of one colour.
    """
    from scipy.stats import rankdata  # half a second, which every process of every training would pay

    white = int(truth.sum())
    black = truth.size - white
    if not white or not black:
        return None
    ranks = rankdata(predicted, axis=None)[truth.ravel()]
    return float((ranks.sum() - white * (white + 1) / 2) / (white * black))


def psnr_where(restored: np.ndarray, clean: np.ndarray, where: np.ndarray) -> float | None:
    """PSNR over the pixels of a bool mask (H, W), for uint8 (H, W, 3) images; None where the mask is all black."""
    if not where.any():
        return None
    error = np.mean(np.square(restored[where].astype(np.float64) - clean[where].astype(np.float64)))
    return CAP_DB if error == 0 else min(float(10 * np.log10(PEAK**2 / error)), CAP_DB)


def correlation(energy: np.ndarray, truth: np.ndarray) -> float | None:
    """Pearson's correlation of a map (H, W) with a bool mask; None where one of them is constant."""
    first, second = energy.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt(np.mean(first**2) * np.mean(second**2)))
    return None if spread < 1e-12 else float(np.mean(first * second) / spread)
