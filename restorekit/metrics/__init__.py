"""The explicit table of metrics: a name stands for one protocol, to the last convention, and for nothing else."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from restorekit.errors import RestorekitError, unknown_name
from restorekit.metrics.invariant import WINDOW, lmse, ncc
from restorekit.metrics.l1 import l1_percent
from restorekit.metrics.psnr import CAP_DB, psnr_dmgn, psnr_rgb, psnr_y
from restorekit.metrics.ssim import GAUSSIAN_WINDOW, UNIFORM_WINDOW, ssim_dmgn, ssim_rgb, ssim_y

__all__ = ["CAP_DB", "METRICS", "Metric", "check_pair", "gain", "get_metric", "score"]


@dataclass(frozen=True)
class Metric:
    """A protocol: `measure(restored, clean)` of two uint8 (H, W, 3) sRGB images of one size."""

    measure: Callable[[np.ndarray, np.ndarray], float]
    better: Literal["higher", "lower"]
    unit: str  # "dB", or "" for a number without a unit
    digits: int  # after the point, where it is shown to people
    min_side: int  # pixels that both sides must have
    says: str  # the protocol in one line, for the report


METRICS: dict[str, Metric] = {
    "psnr_rgb": Metric(psnr_rgb, "higher", "dB", 2, 1, "one mean squared error over all 8-bit RGB values, no crop"),
    "ssim_rgb": Metric(ssim_rgb, "higher", "", 4, GAUSSIAN_WINDOW, "Gaussian window 1.5, per RGB channel, averaged"),
    "psnr_y": Metric(psnr_y, "higher", "dB", 2, 1, "on limited-range BT.601 luma (as MATLAB and BasicSR)"),
    "ssim_y": Metric(ssim_y, "higher", "", 4, GAUSSIAN_WINDOW, "Gaussian window 1.5 on limited-range BT.601 luma"),
    "psnr_dmgn": Metric(psnr_dmgn, "higher", "dB", 2, 1, "per RGB channel, then averaged (DMGN's own)"),
    "ssim_dmgn": Metric(ssim_dmgn, "higher", "", 4, UNIFORM_WINDOW, "7 x 7 uniform window, per channel (DMGN's own)"),
    "l1_percent": Metric(l1_percent, "lower", "%", 3, 1, "mean absolute error over all values, in per cent of 255"),
    "lmse": Metric(lmse, "lower", "", 5, WINDOW, "error in 20-pixel windows after rescaling each; lower is better"),
    "ncc": Metric(ncc, "higher", "", 4, 1, "normalised cross-correlation over all values"),
}


def get_metric(name: str) -> Metric:
    """The metric of that name; an unknown one raises a RestorekitError with the nearest name."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


def gain(name: str, before: float, after: float) -> float:
    """How much better `after` is than `before`: positive is an improvement, also where lower is better."""
    return after - before if get_metric(name).better == "higher" else before - after


def score(restored: np.ndarray, clean: np.ndarray, protocols: Iterable[str] = tuple(METRICS)) -> dict[str, float]:
    """Every protocol's value for uint8 (H, W, 3) sRGB images; all values are finite."""
    check_pair(restored, clean)
    values = {}
    for name in protocols:
        metric = get_metric(name)
        height, width = clean.shape[:2]
        if min(height, width) < metric.min_side:
            raise RestorekitError(
                f"{name} needs images of at least {metric.min_side} x {metric.min_side} pixels; "
                f"this one is {width} x {height}"
            )
        values[name] = metric.measure(restored, clean)
    return values


def check_pair(restored: np.ndarray, clean: np.ndarray) -> None:
    """Refuses what is no pair of 8-bit RGB images of one size."""
    for what, image in (("restored", restored), ("clean", clean)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise RestorekitError(
                f"metrics take uint8 images (height, width, 3); the {what} one is {image.dtype} {image.shape}: "
                "quantise it with restorekit.image.to_uint8 first"
            )
    if restored.shape != clean.shape:
        raise RestorekitError(
            f"the restored image {restored.shape} and the clean image {clean.shape} must have one size to be compared"
        )
