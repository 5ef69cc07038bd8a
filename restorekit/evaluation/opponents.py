"""Methods that fill holes without learning, and a network's lead over each, slice by slice on the same images.

The simplest method, the mean fill, is also the baseline of gains on images with holes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from restorekit.evaluation.results import ImageScore, OpponentScore, paired_gains
from restorekit.evaluation.slices import gain_interval, slices_of
from restorekit.evaluation.test_sets import Pair
from restorekit.image import to_uint8
from restorekit.metrics.protocols import score
from restorekit.models.madf.filling import MEAN, smooth_fill

RADIUS = 5  # pixels: the neighbourhood of a missing pixel in OpenCV's methods
BIHARMONIC_PIXELS = 150_000  # of a hole; a larger system of equations takes minutes, so its image is left out
PROTOCOLS = ("psnr_rgb", "ssim_rgb", "l1_percent")

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]  # uint8 (H, W, 3) and its holes, bool (H, W), to uint8


@dataclass(frozen=True)
class Opponent:
    fill: Fill
    says: str  # the method in a few words, for the report
    most_pixels: int | None = None  # of a hole; images with larger holes are left out


def baseline(pair: Pair) -> np.ndarray:
    """The baseline of gains: the degraded image, uint8 (H, W, 3), with any holes filled by the mean colour."""
    if pair.facts.hole_share is None or pair.mask is None:
        return pair.degraded
    return mean_fill(pair.degraded, pair.mask > 0)


def mean_fill(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """The image with its holes, bool (H, W), filled by the mean of all known pixels; mid-grey if no pixel is known."""
    colour = image[~holes].mean(axis=0) if not holes.all() else np.full(3, 127.5)
    return np.where(holes[..., None], np.rint(colour).astype(np.uint8), image)


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
    "mean": Opponent(mean_fill, "the mean colour of the known pixels, the baseline of all gains"),
    "imagenet_mean": Opponent(_network_mean, "ImageNet's mean colour, which MADF is given in the place of a hole"),
    "telea": Opponent(_telea, f"OpenCV's fast marching (Telea 2004), radius {RADIUS}"),
    "navier_stokes": Opponent(_navier_stokes, f"OpenCV's Navier-Stokes (Bertalmio et al. 2001), radius {RADIUS}"),
    "biharmonic": Opponent(_biharmonic, "scikit-image's biharmonic equations", BIHARMONIC_PIXELS),
    "smooth": Opponent(_smooth, "the spline in tension that a network with start: smooth begins with"),
}


def holes_of(pair: Pair) -> np.ndarray:
    """The missing pixels of the pair's image, bool (H, W)."""
    if pair.mask is None:
        raise ValueError(f"'{pair.facts.key}' has no mask")
    return pair.mask > 0


def opponents_rows(pair: Pair, row: ImageScore) -> dict[str, ImageScore]:
    """The row of every opponent on a pair with holes; `row` is the network's.

    Opponents for which the holes are too large are left out.
    """
    holes = holes_of(pair)
    before = {key: row.degraded[key] for key in PROTOCOLS}
    found = {}
    for name, opponent in OPPONENTS.items():
        if opponent.most_pixels is None or int(holes.sum()) <= opponent.most_pixels:
            values = score(opponent.fill(pair.degraded, holes), pair.clean, PROTOCOLS)
            found[name] = ImageScore(row.dataset, row.facts, row.width, row.height, before, values)
    return found


def by_opponent(found: Iterable[dict[str, ImageScore]]) -> dict[str, list[ImageScore]]:
    """The rows of each opponent, from the results of `opponents_rows` for all pairs."""
    rows: dict[str, list[ImageScore]] = {}
    for scores in found:
        for name, row in scores.items():
            rows.setdefault(name, []).append(row)
    return rows


def opponent_scores(
    rows: Sequence[ImageScore], opponents: Mapping[str, Sequence[ImageScore]], seed: int, resamples: int
) -> list[OpponentScore]:
    """The network's lead over each opponent, for each test set, slice and protocol that both have."""
    found = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        of_set = [row for row in rows if row.dataset == dataset]
        for name, members in slices_of([row.facts for row in of_set]).items():
            in_slice = [of_set[index] for index in members]
            for opponent, theirs in opponents.items():
                found += _against(opponent, name, in_slice, theirs, seed, resamples)
    return found


def _against(
    opponent: str, name: str, rows: Sequence[ImageScore], theirs: Sequence[ImageScore], seed: int, resamples: int
) -> list[OpponentScore]:
    ours, others = _common(rows, theirs), _common(theirs, rows)
    if not ours:
        return []
    found = []
    for protocol in PROTOCOLS:
        leads = paired_gains(ours, protocol, others)
        found.append(
            OpponentScore(
                opponent=opponent, dataset=ours[0].dataset, slice=name, n=len(ours), of=len(rows), protocol=protocol,
                ours=float(np.mean([row.restored[protocol] for row in ours])),
                theirs=float(np.mean([row.restored[protocol] for row in others])),
                lead=float(leads.mean()), ci95=gain_interval(leads, ours, seed, resamples, name),
            )
        )  # fmt: skip
    return found


def _common(rows: Sequence[ImageScore], others: Sequence[ImageScore]) -> list[ImageScore]:
    """The members of `rows` whose images are also in `others`."""
    keys = {(row.dataset, row.facts.key) for row in others}
    return [row for row in rows if (row.dataset, row.facts.key) in keys]
