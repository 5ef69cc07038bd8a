"""The table of metrics: a protocol is a function of a restored and a clean image, and an entry of METRICS.

A new metric is written here and nowhere else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from restorekit.errors import RestorekitError, unknown_name
from restorekit.metrics.psnr import limited_luma, psnr_dmgn, psnr_rgb, psnr_y

GAUSSIAN_WINDOW = 11  # pixels of SSIM's window: sigma 1.5, cut at 3.5 sigma
UNIFORM_WINDOW = 7  # pixels: the default of scikit-image
STRIP_PIXELS = 2**21  # of a strip of SSIM, for images larger than two strips

LMSE_WINDOW = 20  # pixels, each side
LMSE_SHIFT = 10  # pixels between windows
DARK = 1e-5  # a window of the estimate with a smaller sum of squares is black and cannot be rescaled


@dataclass(frozen=True)
class Metric:
    """A protocol: `measure(restored, clean)` of two uint8 (H, W, 3) sRGB images of one size."""

    measure: Callable[[np.ndarray, np.ndarray], float]
    better: Literal["higher", "lower"]
    unit: str  # "dB", or "" for a number without a unit
    digits: int  # after the point, in tables for people
    min_side: int  # pixels that both sides must have
    says: str  # the protocol in one line, for the report


def score(restored: np.ndarray, clean: np.ndarray, protocols: Iterable[str] | None = None) -> dict[str, float]:
    """Each protocol's value (all of METRICS by default) for uint8 (H, W, 3) sRGB images; all values are finite."""
    check_pair(restored, clean)
    values = {}
    for name in METRICS if protocols is None else protocols:
        metric = get_metric(name)
        height, width = clean.shape[:2]
        if min(height, width) < metric.min_side:
            raise RestorekitError(
                f"{name} needs images of at least {metric.min_side} x {metric.min_side} pixels; "
                f"this one is {width} x {height}"
            )
        values[name] = metric.measure(restored, clean)
    return values


def gain(name: str, before: float, after: float) -> float:
    """The improvement from `before` to `after`: positive is better, also for metrics where lower is better."""
    return after - before if get_metric(name).better == "higher" else before - after


def get_metric(name: str) -> Metric:
    """The metric `name`; an unknown name raises a RestorekitError with the nearest name."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


def check_pair(restored: np.ndarray, clean: np.ndarray) -> None:
    """Raises a RestorekitError unless both are 8-bit RGB images of one size."""
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


def ssim_rgb(restored: np.ndarray, clean: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window of sigma 1.5, per channel of uint8 (H, W, 3) images.

    Channels are averaged; range 255, a border of 5 pixels left out.
    """
    return _gaussian(restored, clean, channel_axis=-1)


def ssim_y(restored: np.ndarray, clean: np.ndarray) -> float:
    """SSIM as `ssim_rgb`, on limited-range BT.601 luma, range 255 (MATLAB, BasicSR `test_y_channel`)."""
    return _gaussian(limited_luma(restored), limited_luma(clean), channel_axis=None)


def ssim_dmgn(restored: np.ndarray, clean: np.ndarray) -> float:
    """DMGN's protocol (dmgn.md, section 11): 7 x 7 uniform window, sample covariance, per channel, averaged."""

    def measure(found: np.ndarray, wanted: np.ndarray) -> float:
        return _similarity(found, wanted, win_size=UNIFORM_WINDOW, channel_axis=-1, use_sample_covariance=True)

    return _in_strips(measure, restored, clean, UNIFORM_WINDOW // 2)


def l1_percent(restored: np.ndarray, clean: np.ndarray) -> float:
    """The mean absolute difference of uint8 (H, W, 3) images over all values, in per cent of 255 (madf.md 9)."""
    return float(np.mean(np.abs(restored.astype(np.int16) - clean)) / 255.0 * 100.0)


def lmse(restored: np.ndarray, clean: np.ndarray) -> float:
    """Local mean squared error of (H, W, 3) images in [0, 255], invariant to a change of brightness; 0 is best.

    In every window and channel the restored image is first scaled by the factor that fits it best to the clean image
    (Grosse et al., ICCV 2009). The result is the sum of the squared errors over the sum of the clean squares
    (dmgn.md, section 11). Pixels past the last whole window do not count. An entirely black clean image gives 0.
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
    """Normalised cross-correlation over all values of (H, W, 3) images, in [-1, 1], invariant to changes of brightness.

    The ratio is undefined for a constant image; the result is then 1 for equal images and 0 for others.
    """
    first, second = restored.astype(np.float64), clean.astype(np.float64)
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt(np.mean(first**2) * np.mean(second**2)))
    if spread == 0.0:
        return 1.0 if np.array_equal(restored, clean) else 0.0
    return float(np.clip(np.mean(first * second) / spread, -1.0, 1.0))


def _gaussian(restored: np.ndarray, clean: np.ndarray, channel_axis: int | None) -> float:
    def measure(found: np.ndarray, wanted: np.ndarray) -> float:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return _similarity(found, wanted, channel_axis=channel_axis, **options)

    return _in_strips(measure, restored, clean, GAUSSIAN_WINDOW // 2)


def _similarity(restored: np.ndarray, clean: np.ndarray, **options: float | None) -> float:
    from skimage.metrics import structural_similarity  # here: at the top it slows params.yaml by half a second

    return float(structural_similarity(clean, restored, data_range=255, **options))


def _in_strips(
    measure: Callable[[np.ndarray, np.ndarray], float], restored: np.ndarray, clean: np.ndarray, border: int
) -> float:
    """The value of `measure`, a mean over a map without its outermost `border` pixels, in strips for large images.

    scikit-image holds a dozen maps of 8 bytes a value at once: 5 GiB for a 4K frame.
    """
    height, width = clean.shape[:2]
    rows = max(1, STRIP_PIXELS // width)
    if height * width <= 2 * STRIP_PIXELS:
        return measure(restored, clean)
    total = 0.0
    for first in range(border, height - border, rows):
        last = min(height - border, first + rows)
        strip = np.s_[first - border : last + border]
        total += measure(restored[strip], clean[strip]) * (last - first)
    return total / (height - 2 * border)


def _windows(image: np.ndarray) -> np.ndarray:
    """A view of every LMSE_SHIFT-th window, float64 (rows, columns, channels, LMSE_WINDOW, LMSE_WINDOW)."""
    windows = sliding_window_view(image.astype(np.float64), (LMSE_WINDOW, LMSE_WINDOW), axis=(0, 1))
    return windows[::LMSE_SHIFT, ::LMSE_SHIFT]


METRICS: dict[str, Metric] = {
    "psnr_rgb": Metric(psnr_rgb, "higher", "dB", 2, 1, "one mean squared error over all 8-bit RGB values, no crop"),
    "ssim_rgb": Metric(ssim_rgb, "higher", "", 4, GAUSSIAN_WINDOW, "Gaussian window 1.5, per RGB channel, averaged"),
    "psnr_y": Metric(psnr_y, "higher", "dB", 2, 1, "on limited-range BT.601 luma (as MATLAB and BasicSR)"),
    "ssim_y": Metric(ssim_y, "higher", "", 4, GAUSSIAN_WINDOW, "Gaussian window 1.5 on limited-range BT.601 luma"),
    "psnr_dmgn": Metric(psnr_dmgn, "higher", "dB", 2, 1, "per RGB channel, then averaged (DMGN's own)"),
    "ssim_dmgn": Metric(ssim_dmgn, "higher", "", 4, UNIFORM_WINDOW, "7 x 7 uniform window, per channel (DMGN's own)"),
    "l1_percent": Metric(l1_percent, "lower", "%", 3, 1, "mean absolute error over all values, in per cent of 255"),
    "lmse": Metric(lmse, "lower", "", 5, LMSE_WINDOW, "error in 20-pixel windows, each rescaled; lower is better"),
    "ncc": Metric(ncc, "higher", "", 4, 1, "normalised cross-correlation over all values"),
}
