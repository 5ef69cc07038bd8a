"""The mean absolute error, as papers on inpainting give it."""

import numpy as np


def l1_percent(restored: np.ndarray, clean: np.ndarray) -> float:
    """The mean absolute difference of uint8 (H, W, 3) images over all values, in per cent of 255 (madf.md 9)."""
    return float(np.mean(np.abs(restored.astype(np.int16) - clean)) / 255.0 * 100.0)
