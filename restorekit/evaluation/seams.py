"""Whether the borders of patches can be seen: PSNR near them and elsewhere, and near lines where no border is.

The measure of glsgn.md section 10: gap = PSNR of pixels farther than 16 pixels from any line minus that of pixels
within 8 of one; its control has the lines shifted by half a patch. Lines and control meet different content, which with
few photographs counts for more than the borders do. So there is a second one, `border_cost`: a frame is restored once
more rolled by half a patch, and the same pixels are compared at a border and without one.
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
    """PSNR in dB of pixels near lines and far from them."""

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


def roll_by(patch: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that put borders into the middle of patches (height, width); multiples of 4, as scales need."""
    return patch[0] // 8 * 4, patch[1] // 8 * 4


def border_cost(restored: np.ndarray, rolled: np.ndarray, clean: np.ndarray, patch: tuple[int, int]) -> Gap | None:
    """The gap of the same pixels: near a border, and where it is half a patch away.

    Of uint8 (H, W, 3) images; `rolled` was restored rolled by `roll_by(patch)` and rolled back again.

    Pixels near the frame's own borders, of either frame, are left out. What a network makes of the whole frame counts
    too: one that takes away haze changes a rolled frame otherwise everywhere. None where no pixel is near a line.
    """
    height, width = clean.shape[:2]
    down, right = roll_by(patch)
    lines = patch_lines((height, width), patch)
    others = Lines(tuple(row - down for row in lines.rows), tuple(column - right for column in lines.columns))
    ends = Lines((0, height - down, height), (0, width - right, width))
    near, near_other, near_end = (_within(clean.shape, one) for one in (lines, others, ends))
    own, other = near & ~near_other & ~near_end, near_other & ~near & ~near_end
    if not own.any() or not other.any():
        return None
    truth = np.concatenate([clean[own], clean[other]])
    return Gap(
        psnr_of(np.concatenate([restored[own], rolled[other]]), truth),
        psnr_of(np.concatenate([rolled[own], restored[other]]), truth),
    )


def _within(shape: tuple[int, ...], lines: Lines) -> np.ndarray:
    """Whether a pixel is within NEAR of a line."""
    rows, columns = _distance(shape[0], lines.rows) <= NEAR, _distance(shape[1], lines.columns) <= NEAR
    return rows[:, None] | columns[None, :]


def _distance(length: int, lines: tuple[int, ...]) -> np.ndarray:
    """Of each place's pixel from the nearest line, which lies between two pixels: float64 (length,)."""
    places = np.arange(length) + 0.5
    if not lines:
        return np.full(length, np.inf)
    return np.abs(places[:, None] - np.asarray(lines)[None]).min(axis=1)
