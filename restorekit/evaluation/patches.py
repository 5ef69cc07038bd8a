"""Scores of GLSGN's parts: the image of each path at its own scale, and the seams between patches.

The seam measure follows glsgn.md section 10: gap = PSNR of pixels farther than 16 pixels from any line minus PSNR of
pixels within 8 of a line. Its control shifts the lines by half a patch. Lines and control cover different content; with
few photographs this difference outweighs the effect of the borders. The second measure, `border_cost`, avoids it: the
frame is rolled by half a patch and restored again, and the same pixels are compared with and without a border.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from restorekit.evaluation.test_sets import Pair
from restorekit.image import to_float, to_uint8
from restorekit.metrics.psnr import psnr_of, psnr_rgb
from restorekit.models.glsgn import GLSGN
from restorekit.models.glsgn.pyramid import scales

PATHS = ("path1", "path2", "path3", "global")
NEAR, FAR = 8, 16  # pixels from a line
BOUND_DB = 0.1  # of |gap(lines) - gap(shifted)|


@dataclass(frozen=True)
class FrameScore:
    """One frame: PSNR of each path's input and image, and of the pixels near and far from the patches' borders.

    `seams` also has "border_cost": the loss in dB of the pixels near a border.
    """

    paths: dict[str, tuple[float, float]]
    seams: dict[str, float]


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


def score_frame(model: GLSGN, pair: Pair, precision: Literal["fp32", "bf16"]) -> FrameScore:
    """The score of a pair's degraded frame; restores the frame again."""
    model = model.eval()
    device = next(model.parameters()).device
    image, clean = (_tensor(one).to(device) for one in (pair.degraded, pair.clean))
    size = (pair.clean.shape[0], pair.clean.shape[1])
    patch = model.patch_size(size)
    with torch.inference_mode():
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            found = model.look(image)
            rolled = model.restore(image.roll(roll_by(patch), (2, 3))).roll([-side for side in roll_by(patch)], (2, 3))
        given, wanted = scales(image), scales(clean)
        paths = {
            name: (psnr_rgb(_array(given[scale]), _array(wanted[scale])), psnr_rgb(_array(one), _array(wanted[scale])))
            for name, scale, one in _each(found.paths, found.reduced)
        }
    seams: dict[str, float] = {}
    restored = _array(found.restored)
    for of, shown in (("", restored), ("_degraded", pair.degraded)):
        for suffix, shifted in (("", False), ("_shifted", True)):
            gap = seam_gap(shown, pair.clean, patch_lines(size, patch, shifted))
            if gap is None:
                return FrameScore(paths, {})
            seams |= {f"near{suffix}{of}": gap.near, f"far{suffix}{of}": gap.far, f"gap{suffix}{of}": gap.db}
    cost = border_cost(restored, _array(rolled), pair.clean, patch)
    return FrameScore(paths, seams | ({} if cost is None else {"border_cost": cost.db}))


def path_means(scores: Sequence[FrameScore]) -> dict[str, Any]:
    """Means over frames, as JSON values: `paths`, `seams` and the number of frames."""
    paths = {
        name: {
            "degraded": float(np.mean([score.paths[name][0] for score in scores])),
            "restored": float(np.mean([score.paths[name][1] for score in scores])),
        }
        for name in scores[0].paths
    }
    seen = [score.seams for score in scores if score.seams]
    names = set.intersection(*(set(one) for one in seen)) if seen else ()
    seams: dict[str, Any] = {name: float(np.mean([one[name] for one in seen])) for name in sorted(names)}
    if seams:
        # The input's gap too: with few photographs, pixels near the lines differ in content from the others.
        for of in ("", "_degraded"):
            seams[f"apart{of}"] = abs(seams[f"gap{of}"] - seams[f"gap_shifted{of}"])
        seams["bound"] = BOUND_DB
    return {"frames": len(scores), "paths": paths, "seams": seams}


def patch_lines(size: tuple[int, int], patch: tuple[int, int], shifted: bool = False) -> Lines:
    """The inner borders of patches (height, width) in a frame (height, width); if `shifted`, the patches' middles."""
    rows, columns = (
        tuple(range(side // 2 if shifted else side, length, side)) for length, side in zip(size, patch, strict=True)
    )
    return Lines(rows, columns)


def seam_gap(restored: np.ndarray, clean: np.ndarray, lines: Lines) -> Gap | None:
    """The gap of uint8 (H, W, 3) images; None where no pixel is near a line, or no pixel is far from all lines."""
    height, width = clean.shape[:2]
    distance = np.minimum(_distance(height, lines.rows)[:, None], _distance(width, lines.columns)[None, :])
    near, far = distance <= NEAR, distance > FAR
    if not near.any() or not far.any():
        return None
    return Gap(psnr_of(restored[near], clean[near]), psnr_of(restored[far], clean[far]))


def roll_by(patch: tuple[int, int]) -> tuple[int, int]:
    """The shift in rows and columns that moves borders to the patches' middles; multiples of 4, as the scales need."""
    return patch[0] // 8 * 4, patch[1] // 8 * 4


def border_cost(restored: np.ndarray, rolled: np.ndarray, clean: np.ndarray, patch: tuple[int, int]) -> Gap | None:
    """The gap of the same pixels of uint8 (H, W, 3) images: near a border, and half a patch away from a border.

    `rolled` was rolled by `roll_by(patch)`, restored, and rolled back. Pixels near the outer borders of either frame
    are left out. Rolling also changes the global context: a network that removes haze restores a rolled frame
    differently everywhere. None where no pixel is near a line.
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
    """A mask of the pixels within NEAR of a line."""
    rows, columns = _distance(shape[0], lines.rows) <= NEAR, _distance(shape[1], lines.columns) <= NEAR
    return rows[:, None] | columns[None, :]


def _distance(length: int, lines: tuple[int, ...]) -> np.ndarray:
    """Each pixel's distance from the nearest line, float64 (length,); lines lie between two pixels."""
    places = np.arange(length) + 0.5
    if not lines:
        return np.full(length, np.inf)
    return np.abs(places[:, None] - np.asarray(lines)[None]).min(axis=1)


def _each(paths: tuple[Tensor, ...], reduced: Tensor | None) -> Iterator[tuple[str, int, Tensor]]:
    """(name, scale, image) of every path."""
    for scale, one in enumerate(paths):
        yield PATHS[scale], scale, one
    if reduced is not None:
        yield PATHS[3], 2, reduced


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(to_float(image).transpose(2, 0, 1)))[None]


def _array(image: Tensor) -> np.ndarray:
    return to_uint8(image[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy())
