"""Whether the borders of patches can be seen: PSNR near them and elsewhere, and near lines where no border is.

The measure of glsgn.md section 10: gap = PSNR of pixels farther than 16 pixels from any line minus that of pixels
within 8 of one; its control has the lines shifted by half a patch.
"""

from dataclasses import dataclass

import numpy as np

from restorekit.metrics.psnr import psnr_of

NEAR, FAR = 8, 16  # pixels
BOUND_DB = 0.1  # of |gap(lines) - gap(shifted)|


@dataclass(frozen=True)
class Lines:
    """Rows and columns before which a patch begins."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Gap:
    """PSNR in dB near the lines and far from them."""

    near: float
    far: float

    @property
    def db(self) -> float:
        return self.far - self.near


def patch_lines(size: tuple[int, int], patch: tuple[int, int], shifted: bool = False) -> Lines:
    """The inner borders of patches (height, width) in a frame (height, width), or lines in the patches' middle."""
    rows, columns = (
        tuple(range(side // 2 if shifted else side, length, side)) for length, side in zip(size, patch, strict=True)
    )
    return Lines(rows, columns)


def seam_gap(restored: np.ndarray, clean: np.ndarray, lines: Lines) -> Gap | None:
    """Of uint8 (H, W, 3) images; None where no pixel is near a line, or none is far from all."""
    height, width = clean.shape[:2]
    distance = np.minimum(_distance(height, lines.rows)[:, None], _distance(width, lines.columns)[None, :])
    near, far = distance <= NEAR, distance > FAR
    if not near.any() or not far.any():
        return None
    return Gap(psnr_of(restored[near], clean[near]), psnr_of(restored[far], clean[far]))


def _distance(length: int, lines: tuple[int, ...]) -> np.ndarray:
    """Of each place's pixel from the nearest line, which lies between two pixels: float64 (length,)."""
    places = np.arange(length) + 0.5
    if not lines:
        return np.full(length, np.inf)
    return np.abs(places[:, None] - np.asarray(lines)[None]).min(axis=1)
