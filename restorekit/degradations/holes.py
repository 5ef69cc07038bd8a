"""Holes for inpainting: the severity names a published bucket, and the holes' share of the frame lies in it.

Buckets and look follow the irregular masks of Liu et al. (ECCV 2018): strokes with and without a free border, shares
0.01-0.1, 0.1-0.2, ..., 0.5-0.6. The record's draws put all pixels in one order; a greater severity takes more pixels of
the same order, so that a hole only grows.
"""

from typing import Any

import cv2
import numpy as np

from restorekit.degradations.fields import smooth_field
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform
from restorekit.errors import RestorekitError
from restorekit.rng import rng_for
from restorekit.tasks import FILES, TASKS

KINDS = TASKS["inpainting"].kinds
BUCKETS = ((0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6))
FILL = 0.5  # sRGB, the colour of a hole
_NEVER = 2**31 - 1  # the place of a pixel that never becomes a hole
_LEVELS = 2**16  # places of a continuous field
_STEPS = 24  # segments of the longest stroke


def bucket_of(severity: float) -> tuple[float, float]:
    """The bucket of hole shares for a severity in [0, 1]; the six buckets are equally wide in severity."""
    return BUCKETS[min(int(severity * len(BUCKETS)), len(BUCKETS) - 1)]


def target_share(severity: float) -> float:
    """The target share for a severity: in its bucket, at least a tenth of the bucket's width from both ends."""
    low, high = bucket_of(severity)
    place = severity * len(BUCKETS) - BUCKETS.index((low, high))
    return between((low, high), 0.1 + 0.8 * place)


class Holes:
    """kind "strokes", "blobs", "boxes" or "borders"; "mixed": one of them, or two joined. Severity sets the share."""

    name = "inpainting"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        second = KINDS[int(rng.integers(len(KINDS)))]
        joined = kind == "mixed" and rng.random() < 0.4 and second != params["kind"]
        sides = [uniform(rng, (0.2, 1.0)) for _ in range(4)]
        keep = [bool(rng.random() < 0.5) for _ in range(4)]
        first = int(rng.integers(4))
        free = rng.random() < 0.5
        num_boxes = int(rng.integers(1, 7))
        return {
            **params,
            "share": target_share(severity),
            "bucket": list(bucket_of(severity)),
            "shapes": [params["kind"], second] if joined else [params["kind"]],
            "free_border": 0.08 if free else 0.0,  # of the short side: a margin without strokes, blobs and boxes
            "num_boxes": num_boxes,
            # Speed of growth from the top, bottom, left and right; at least one side grows.
            "sides": [
                rate if kept or i == first else 0.0 for i, (rate, kept) in enumerate(zip(sides, keep, strict=True))
            ],
            "thickness": uniform(rng, (0.025, 0.08)),  # mean width of strokes, of the short side
            "cell": uniform(rng, (0.2, 0.5)),  # size of blobs, of the short side
        }

    def sample_given(self, rng: np.random.Generator, holes: np.ndarray) -> dict[str, Any]:
        """A record for a user's mask, bool (H, W): the mask's share, and a free border with probability one half.

        `severity` is the place of the share in the buckets; `bucket` is None where no bucket holds the share.
        """
        params = new_record(rng, self.name, KINDS, (holes.shape[0], holes.shape[1]), 0.0, "mixed")
        params |= {"kind": FILES, "free_border": 0.08 if rng.random() < 0.5 else 0.0}
        share = float(_given(holes, params).mean())
        buckets = [list(bucket) for bucket in BUCKETS if bucket[0] <= share <= bucket[1]]
        shares = [BUCKETS[0][0], *(high for _, high in BUCKETS)]
        severity = float(np.interp(share, shares, np.linspace(0.0, 1.0, len(shares))))
        return {**params, "severity": severity, "share": share, "bucket": buckets[0] if buckets else None}

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        if params["kind"] != FILES:
            hole = hole_mask(size, params)
        elif scene.holes is None or scene.holes.shape != size:
            raise RestorekitError(f"the record was drawn for a mask from a file: give `holes`, {size[0]} x {size[1]}")
        else:
            hole = _given(scene.holes, params)
        degraded = scene.image.copy()
        degraded[hole] = FILL
        return Degraded(degraded, scene.image, None, hole.astype(np.float32), None)


def hole_mask(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """The holes of a record, bool (H, W): as many first pixels of its order as meet the share best."""
    orders = [_SHAPES[shape](size, params) for shape in params["shapes"]]
    order = orders[0]
    if len(orders) > 1:  # a pixel joins at the smaller of the two shapes' shares
        order = _places(np.minimum(_share_at(orders[0]), _share_at(orders[1])))
    shares = _shares(order)
    low, high = params["bucket"]
    missed = np.abs(shares - params["share"]) + ((shares < low) | (shares > high))
    return order <= missed.argmin()


def _given(holes: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """The user's mask, bool (H, W), without its part on the free border."""
    margin = int(params["free_border"] * min(holes.shape))
    window = np.s_[margin : holes.shape[0] - margin, margin : holes.shape[1] - margin]
    hole = np.zeros(holes.shape, bool)
    hole[window] = holes[window]
    return hole


def _shares(order: np.ndarray) -> np.ndarray:
    """For each place of an order, the share of the frame up to it."""
    return np.cumsum(np.bincount(order[order < _NEVER])) / order.size


def _share_at(order: np.ndarray) -> np.ndarray:
    """For each pixel, the hole share from which on the pixel is a hole; 1 for pixels that never are."""
    shares = np.append(_shares(order), 1.0).astype(np.float32)
    return shares[np.minimum(order, shares.size - 1)]


def _places(field: np.ndarray) -> np.ndarray:
    """The order of a field's pixels, int32 (H, W), the smallest value first; every pixel can become a hole."""
    low, high = float(field.min()), float(field.max())
    return ((field - np.float32(low)) * np.float32((_LEVELS - 1) / max(high - low, 1e-6))).astype(np.int32)


def _free(order: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """The order without the free border."""
    margin = int(params["free_border"] * min(order.shape))
    if margin:
        order[:margin], order[-margin:], order[:, :margin], order[:, -margin:] = (_NEVER,) * 4
    return order


def _blobs(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """The low parts of a smooth random field, from its lowest point on."""
    field = smooth_field(rng_for(params["seed"], "blobs"), size, (params["cell"], params["cell"]), 3)
    return _free(_places(field), params)


def _boxes(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """Rectangles that grow around their centres, each with its own speed and aspect."""
    draws = rng_for(params["seed"], "boxes").random((params["num_boxes"], 4))
    field = np.full(size, np.inf, np.float32)
    for row, col, pace, shape in draws:
        aspect = np.exp((shape - 0.5) * 1.6)
        down = np.abs((np.arange(size[0]) + 0.5) / size[0] - row) * (size[0] / min(size) * aspect / (0.3 + pace))
        across = np.abs((np.arange(size[1]) + 0.5) / size[1] - col) * (size[1] / min(size) / aspect / (0.3 + pace))
        box = np.maximum(down.astype(np.float32)[:, None], across.astype(np.float32)[None])
        np.minimum(field, box, out=field)
    return _free(_places(field), params)


def _borders(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """The outside of a window that closes from some of its sides."""
    top, bottom, left, right = (1 / max(rate, 1e-9) for rate in params["sides"])
    down, across = ((np.arange(side, dtype=np.float32) + 0.5) / side for side in size)
    rows = np.minimum(down * np.float32(top), (1 - down) * np.float32(bottom))
    cols = np.minimum(across * np.float32(left), (1 - across) * np.float32(right))
    return _places(np.minimum(np.minimum.outer(rows, cols), np.float32(10.0)))


def _strokes(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """Brush strokes that wander, drawn until they cover the share; the first segment over a pixel gives its place."""
    height, width = size
    short = min(size)
    # A stroke covers about 0.03 * thickness * 14 segments; half of them fall on others.
    number = 4 + int(3.0 * params["share"] * height * width / short**2 / (0.4 * params["thickness"]))
    while True:
        order = _draw_strokes(size, short, number, params)
        if (order < _NEVER).mean() >= params["share"] + 0.01 or number > 1e5:
            return order
        number *= 2


def _draw_strokes(size: tuple[int, int], short: int, number: int, params: dict[str, Any]) -> np.ndarray:
    draws = rng_for(params["seed"], "strokes").random((number, 5 + _STEPS))
    turns = (draws[:, 5:] - 0.5) * 1.2
    heading = 2 * np.pi * draws[:, :1] + np.cumsum(turns, axis=1)
    steps = 0.035 * np.stack([np.sin(heading), np.cos(heading)], axis=2)
    extent = np.array(size) / short
    points = draws[:, None, 1:3] * extent + np.cumsum(steps, axis=1) - 0.5 * steps.sum(axis=1, keepdims=True)
    pixels = np.round(points[..., ::-1] * short * 16 - 8).astype(int)  # x, y in sixteenths, pixel centres at whole ones
    lengths = 2 + (draws[:, 3] ** 2 * (_STEPS - 1)).astype(int)
    thick = np.maximum(1, np.round(short * params["thickness"] * (0.5 + draws[:, 4]))).astype(int)
    order = np.full(size, _NEVER, np.int32)
    place = int(lengths.sum())
    for stroke in range(number - 1, -1, -1):  # backwards, so that the first segment over a pixel is written last
        path = pixels[stroke].tolist()
        for step in range(lengths[stroke] - 1, 0, -1):
            place -= 1
            cv2.line(order, path[step - 1], path[step], place, int(thick[stroke]), shift=4)
    return _free(order, params)


_SHAPES = {"strokes": _strokes, "blobs": _blobs, "boxes": _boxes, "borders": _borders}
