"""Two measures of the reflection literature that forgive a change of brightness: LMSE and NCC (dmgn.md, section 11)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WINDOW = 20  # pixels, each side
SHIFT = 10  # pixels between windows
DARK = 1e-5  # below this sum of squares a window of the estimate is black and cannot be rescaled


def lmse(restored: np.ndarray, clean: np.ndarray) -> float:
    """Local mean squared error of (H, W, 3) images in [0, 255], an error: 0 is best.

    In every window and channel the restored image is first multiplied by the number that fits it best to the clean one
    (Grosse et al., ICCV 2009); the result is the sum of the squared errors over the sum of the clean squares. Pixels
    past the last whole window do not count. An entirely black clean image gives 0.
    """
    estimate, correct = _windows(restored), _windows(clean)
    power = np.einsum("ijcuv,ijcuv->ijc", estimate, estimate)
    match = np.einsum("ijcuv,ijcuv->ijc", correct, estimate)
    total = np.einsum("ijcuv,ijcuv->ijc", correct, correct)
    # |c - s e|^2 at its minimum, s = <c, e> / <e, e>, without an array of all windows (0.8 GB for a 4K image)
    explained = np.divide(match**2, power, out=np.zeros_like(match), where=power > DARK)
    error = np.maximum(total - explained, 0.0)
    return float(error.sum() / total.sum()) if total.any() else 0.0


def ncc(restored: np.ndarray, clean: np.ndarray) -> float:
    """Normalised cross-correlation over all values of (H, W, 3) images, in [-1, 1].

    Where an image is constant the ratio is undefined: 1 is given if the two images are equal and 0 if not.
    """
    first, second = restored.astype(np.float64), clean.astype(np.float64)
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt(np.mean(first**2) * np.mean(second**2)))
    if spread == 0.0:
        return 1.0 if np.array_equal(restored, clean) else 0.0
    return float(np.clip(np.mean(first * second) / spread, -1.0, 1.0))


def _windows(image: np.ndarray) -> np.ndarray:
    """Float64 (rows, columns, channels, WINDOW, WINDOW): a view of every SHIFT-th window."""
    return sliding_window_view(image.astype(np.float64), (WINDOW, WINDOW), axis=(0, 1))[::SHIFT, ::SHIFT]
