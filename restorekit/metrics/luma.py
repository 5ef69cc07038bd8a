"""Limited-range BT.601 luma, the Y of every "PSNR on Y" in the deraining and super-resolution literature."""

import numpy as np

# Rec. ITU-R BT.601 for R'G'B' in [0, 255]: black is 16, white is 235. Full-range luma reads 1.32 dB lower.
WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255.0
BLACK = 16.0


def limited_luma(image: np.ndarray) -> np.ndarray:
    """Luma of (H, W, 3) sRGB in [0, 255], float64 (H, W) in [16, 235]; not rounded (BasicSR), where MATLAB rounds."""
    return BLACK + image.astype(np.float64) @ WEIGHTS
