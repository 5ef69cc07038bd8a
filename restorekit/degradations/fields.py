"""Fields over a frame: smooth random fields, the same at every resolution, and values fitted to image edges."""

import cv2
import numpy as np

_SAMPLES = 8  # samples in a cell of the finest octave, before the last interpolation
_VARIANCE = (151 / 315) ** 2 / 3  # of a 2D cubic B-spline over independent uniform values in [-1, 1]


def smooth_field(
    rng: np.random.Generator, size: tuple[int, int], cell: tuple[float, float], octaves: int = 1
) -> np.ndarray:
    """A random field, float32 (H, W), of mean 0 and standard deviation 1 over all draws.

    cell: (height, width) of a feature, in fractions of the short side. Every further octave halves the cell and the
    amplitude. The draws depend on the frame's aspect ratio alone, so that a frame and its enlargement show one field.
    """
    height, width = size
    short = min(size)
    extent = (height / short / cell[0], width / short / cell[1])  # cells of the first octave
    finest = 2 ** (octaves - 1) * _SAMPLES
    fine = tuple(min(side, int(np.ceil(cells * finest))) for side, cells in zip(size, extent, strict=True))
    field = np.zeros(fine, np.float32)
    power = 0.0
    for octave in range(octaves):
        cells = tuple(axis * 2**octave for axis in extent)
        lattice = rng.uniform(-1.0, 1.0, (int(np.ceil(cells[0])) + 3, int(np.ceil(cells[1])) + 3))
        field += np.float32(0.5**octave) * _spline(_spline(lattice, cells[0], fine[0]).T, cells[1], fine[1]).T
        power += 0.25**octave
    field *= np.float32(1.0 / np.sqrt(power * _VARIANCE))
    return field if fine == size else cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)


def _spline(lattice: np.ndarray, cells: float, samples: int) -> np.ndarray:
    """Uniform cubic B-spline along the first axis, at `samples` centres over `cells` cells.

    Gathers instead of a matrix product, whose bits depend on the number of BLAS threads.
    """
    at = (np.arange(samples) + 0.5) * (cells / samples)
    first = np.minimum(at.astype(np.intp), lattice.shape[0] - 4)
    t = at - first
    rest, square = 1 - t, t * t
    weights = np.array([rest * rest * rest, (3 * t - 6) * square + 4, ((1 - t) * t + 1) * 3 * t + 1, square * t]) / 6.0
    # einsum without `optimize` calls no BLAS.
    return np.einsum("ks,ksc->sc", weights, lattice[first + np.arange(4)[:, None]]).astype(np.float32)


def fit_to_edges(image: np.ndarray, small: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values`, float32 (h, w), enlarged to the (H, W) of `image` so that they follow its edges.

    `small` is the image at (h, w). The fast guided filter (He and Sun, 2015) models the values as a local linear
    function of the photograph's brightness.
    """
    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    side = (2 * max(1, min(guide.shape) // 12) + 1,) * 2
    mean_guide, mean_values = cv2.blur(guide, side), cv2.blur(values, side)
    slope = cv2.blur(guide * values, side) - mean_guide * mean_values
    slope /= cv2.blur(guide * guide, side) - mean_guide * mean_guide + np.float32(0.01)
    offset = cv2.blur(mean_values - slope * mean_guide, side)
    slope = cv2.blur(slope, side)
    size = image.shape[1::-1]
    slope, offset = (cv2.resize(part, size, interpolation=cv2.INTER_LINEAR) for part in (slope, offset))
    return cv2.add(cv2.multiply(slope, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)), offset)
