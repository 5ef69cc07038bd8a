"""Ways to fill holes that were not learnt, scored on the same images as a network: what it has to be better than."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from restorekit.evaluation.baseline import mean_fill
from restorekit.evaluation.pairs import Pair
from restorekit.evaluation.score import ImageScore
from restorekit.image import to_uint8
from restorekit.metrics import score
from restorekit.models.madf.filling import MEAN, smooth_fill

RADIUS = 5  # pixels that OpenCV's methods look at around each one that they fill
BIHARMONIC_PIXELS = 150_000  # of a hole; above it one system of equations takes minutes, and the image is left out
PROTOCOLS = ("psnr_rgb", "ssim_rgb", "l1_percent")

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]  # uint8 (H, W, 3) and its holes, bool (H, W), to uint8


@dataclass(frozen=True)
class Opponent:
    fill: Fill
    says: str  # what it is, for the report
    most_pixels: int | None = None  # of a hole that it is asked to fill


def _network_mean(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return _filled(image, holes, np.rint(255 * np.array(MEAN)).astype(np.uint8))


def _telea(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return cv2.inpaint(image, holes.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)


def _navier_stokes(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return cv2.inpaint(image, holes.astype(np.uint8), RADIUS, cv2.INPAINT_NS)


def _biharmonic(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    from skimage.restoration import inpaint_biharmonic

    return to_uint8(np.clip(inpaint_biharmonic(image, holes, channel_axis=-1), 0.0, 1.0).astype(np.float32))


def _smooth(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 255
    filled = smooth_fill(pixels, torch.from_numpy(~holes).float()[None, None])
    return _filled(image, holes, to_uint8(filled[0].permute(1, 2, 0).numpy()))


def _filled(image: np.ndarray, holes: np.ndarray, filling: np.ndarray) -> np.ndarray:
    return np.where(holes[..., None], filling, image)


OPPONENTS: dict[str, Opponent] = {
    "mean": Opponent(mean_fill, "the mean colour of what is not missing: what gains are over"),
    "imagenet_mean": Opponent(_network_mean, "ImageNet's mean colour, which MADF is given in the place of a hole"),
    "telea": Opponent(_telea, f"OpenCV's fast marching (Telea 2004), radius {RADIUS}"),
    "navier_stokes": Opponent(_navier_stokes, f"OpenCV's Navier-Stokes (Bertalmio et al. 2001), radius {RADIUS}"),
    "biharmonic": Opponent(_biharmonic, "scikit-image's biharmonic equations", BIHARMONIC_PIXELS),
    "smooth": Opponent(_smooth, "the spline in tension that a network with start: smooth begins with"),
}


def holes_of(pair: Pair) -> np.ndarray:
    """Where the pair's image is missing, bool (H, W)."""
    if pair.mask is None:
        raise ValueError(f"'{pair.facts.key}' has no mask")
    return pair.mask > 0


def opponents_rows(pair: Pair, row: ImageScore) -> dict[str, ImageScore]:
    """The scores of every opponent on a pair with holes, beside `row`, the network's; those that it is too much for
    are left out."""
    holes = holes_of(pair)
    found = {}
    for name, opponent in OPPONENTS.items():
        if opponent.most_pixels is None or int(holes.sum()) <= opponent.most_pixels:
            values = score(opponent.fill(pair.degraded, holes), pair.clean, PROTOCOLS)
            found[name] = ImageScore(
                row.dataset, row.facts, row.width, row.height, {key: row.degraded[key] for key in PROTOCOLS}, values
            )
    return found


def by_opponent(found: Iterable[dict[str, ImageScore]]) -> dict[str, list[ImageScore]]:
    """The rows of each opponent, of what `opponents_rows` gave for the pairs."""
    rows: dict[str, list[ImageScore]] = {}
    for scores in found:
        for name, row in scores.items():
            rows.setdefault(name, []).append(row)
    return rows


def common(rows: Sequence[ImageScore], others: Sequence[ImageScore]) -> list[ImageScore]:
    """Those of `rows` whose images are in `others` too."""
    keys = {(row.dataset, row.facts.key) for row in others}
    return [row for row in rows if (row.dataset, row.facts.key) in keys]
