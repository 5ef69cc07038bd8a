"""What GLSGN is scored by beside its result: each path's image at its own scale, and the seams of its patches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from restorekit.evaluation.pairs import Pair
from restorekit.evaluation.seams import BOUND_DB, border_cost, patch_lines, roll_by, seam_gap
from restorekit.image import to_float, to_uint8
from restorekit.metrics.psnr import psnr_rgb
from restorekit.models.glsgn import GLSGN
from restorekit.models.glsgn.pyramid import scales

PATHS = ("path1", "path2", "path3", "global")


@dataclass(frozen=True)
class FrameScore:
    """One frame: PSNR of each path's input and image, and of the pixels near and far from the patches' borders.

    `seams` has "border_cost" too, what the borders cost the pixels near them in dB.
    """

    paths: dict[str, tuple[float, float]]
    seams: dict[str, float]


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
        # Of the input too: with few photographs the lines meet other content than those between them.
        for of in ("", "_degraded"):
            seams[f"apart{of}"] = abs(seams[f"gap{of}"] - seams[f"gap_shifted{of}"])
        seams["bound"] = BOUND_DB
    return {"frames": len(scores), "paths": paths, "seams": seams}


def score_frame(model: GLSGN, pair: Pair, precision: Literal["fp32", "bf16"]) -> FrameScore:
    """Restores a pair's degraded frame once more, and scores every path."""
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
