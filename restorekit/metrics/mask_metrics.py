"""Metrics of a soft mask against the degraded pixels, and PSNR over a part of an image."""

import numpy as np

from restorekit.metrics.psnr import CAP_DB, PEAK

WHITE = 0.5  # a pixel of a soft mask counts as degraded from here on
TIE = 1e-6  # keeps a difference of exactly tau below the threshold despite rounding


def changed(degraded: np.ndarray, clean: np.ndarray, tau: float) -> np.ndarray:
    """A mask, bool (H, W): a channel of uint8 (H, W, 3) images differs by more than `tau` of the range (dakd.md 3)."""
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
    """The probability that a white pixel of the bool mask has a higher soft value than a black pixel; ties count half.

    None where all pixels of the bool mask have one colour.
    """
    from scipy.stats import rankdata  # here, because the import takes half a second in every process of a training

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
    """Pearson's correlation of a map (H, W) with a bool mask; None where either is constant."""
    first, second = energy.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt(np.mean(first**2) * np.mean(second**2)))
    return None if spread < 1e-12 else float(np.mean(first * second) / spread)
