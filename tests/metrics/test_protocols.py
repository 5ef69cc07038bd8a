"""Every metric against an independent formula, and the properties that all metrics share."""

import math
from itertools import pairwise
from typing import get_args

import cv2
import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.data import astronaut, chelsea
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restorekit.config import Params
from restorekit.errors import RestorekitError
from restorekit.metrics.protocols import METRICS, gain, get_metric, score
from restorekit.metrics.psnr import CAP_DB, psnr_dmgn
from restorekit.rng import rng_for


def noisy(image: np.ndarray, sigma: float, name: str = "noise") -> np.ndarray:
    noise = rng_for(7, name).normal(0.0, 1.0, image.shape) * sigma
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


@pytest.fixture(params=["astronaut", "odd chelsea", "random"])
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    if request.param == "astronaut":
        clean = astronaut()[100:228, 150:310]
    elif request.param == "odd chelsea":
        clean = chelsea()[40:77, 60:91]  # 37 x 31
    else:
        clean = rng_for(3, "random").integers(0, 256, (64, 48, 3), dtype=np.uint8)
    return noisy(clean, 12.0), clean


def test_psnr_rgb_equals_that_of_skimage(pair: tuple[np.ndarray, np.ndarray]) -> None:
    restored, clean = pair
    assert score(restored, clean)["psnr_rgb"] == pytest.approx(peak_signal_noise_ratio(clean, restored), abs=1e-9)


def test_psnr_y_uses_matlabs_luma(pair: tuple[np.ndarray, np.ndarray]) -> None:
    restored, clean = pair
    luma = [rgb2ycbcr(image)[..., 0] for image in (restored, clean)]  # skimage's is MATLAB's rgb2ycbcr before rounding
    expected = 10 * math.log10(255**2 / np.mean((luma[0] - luma[1]) ** 2))
    assert score(restored, clean)["psnr_y"] == pytest.approx(expected, abs=1e-6)


def test_luma_of_black_and_white_is_limited_range() -> None:
    black, white = np.zeros((24, 24, 3), np.uint8), np.full((24, 24, 3), 255, np.uint8)
    assert score(black, white)["psnr_y"] == pytest.approx(20 * math.log10(255 / 219), abs=1e-9)
    assert score(black, white)["psnr_rgb"] == 0.0  # 1.32 dB lower, as full-range luma would be


def gaussian_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM as in BasicSR: an 11 x 11 window by cv2, valid pixels only."""
    kernel = cv2.getGaussianKernel(11, 1.5)

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.filter2D(image, -1, kernel @ kernel.T)[5:-5, 5:-5]

    first, second = first.astype(np.float64), second.astype(np.float64)
    mu1, mu2 = mean(first), mean(second)
    var1, var2 = mean(first**2) - mu1**2, mean(second**2) - mu2**2
    covariance = mean(first * second) - mu1 * mu2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ratio = (2 * mu1 * mu2 + c1) * (2 * covariance + c2) / ((mu1**2 + mu2**2 + c1) * (var1 + var2 + c2))
    return float(ratio.mean())


def test_ssim_rgb_and_ssim_y_equal_the_gaussian_form(pair: tuple[np.ndarray, np.ndarray]) -> None:
    restored, clean = pair
    per_channel = np.mean([gaussian_ssim(restored[..., c], clean[..., c]) for c in range(3)])
    assert score(restored, clean)["ssim_rgb"] == pytest.approx(per_channel, abs=1e-6)
    expected = gaussian_ssim(rgb2ycbcr(restored)[..., 0], rgb2ycbcr(clean)[..., 0])
    assert score(restored, clean)["ssim_y"] == pytest.approx(expected, abs=1e-6)


def test_dmgn_protocol_is_per_channel_with_skimages_defaults(pair: tuple[np.ndarray, np.ndarray]) -> None:
    restored, clean = pair
    values = score(restored, clean)
    psnr = np.mean([peak_signal_noise_ratio(clean[..., c], restored[..., c]) for c in range(3)])
    ssim = np.mean([structural_similarity(clean[..., c], restored[..., c]) for c in range(3)])
    assert values["psnr_dmgn"] == pytest.approx(psnr, abs=1e-6)
    assert values["ssim_dmgn"] == pytest.approx(ssim, abs=1e-6)


def test_dmgn_psnr_takes_unrounded_floats() -> None:
    clean = astronaut()[:32, :32].astype(np.float64)
    restored = np.clip(clean + 0.25, 0, 255)
    expected = np.mean([peak_signal_noise_ratio(clean[..., c], restored[..., c], data_range=255) for c in range(3)])
    assert psnr_dmgn(restored, clean) == pytest.approx(expected, abs=1e-6)


def test_lmse_equals_a_loop_over_windows(pair: tuple[np.ndarray, np.ndarray]) -> None:
    restored, clean = (image.astype(np.float64) for image in pair)
    error = total = 0.0
    for channel in range(3):
        for top in range(0, clean.shape[0] - 20 + 1, 10):
            for left in range(0, clean.shape[1] - 20 + 1, 10):
                truth = clean[top : top + 20, left : left + 20, channel].ravel()
                guess = restored[top : top + 20, left : left + 20, channel].ravel()
                scale = np.linalg.lstsq(guess[:, None], truth, rcond=None)[0][0]
                error += np.sum((truth - scale * guess) ** 2)
                total += np.sum(truth**2)
    assert score(*pair)["lmse"] == pytest.approx(error / total, abs=1e-9)


def test_ncc_is_the_correlation_coefficient(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = np.corrcoef(pair[0].astype(np.float64).ravel(), pair[1].astype(np.float64).ravel())[0, 1]
    assert score(*pair)["ncc"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_equal_images_have_the_best_and_a_finite_value(name: str) -> None:
    clean = astronaut()[:40, :50]
    metric = METRICS[name]
    best = CAP_DB if metric.unit == "dB" else 0.0 if metric.better == "lower" else 1.0
    assert score(clean, clean, [name])[name] == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_more_noise_is_worse(name: str) -> None:
    clean = chelsea()[50:130, 100:220]
    values = [score(noisy(clean, sigma), clean, [name])[name] for sigma in (0, 2, 5, 10, 20, 40)]
    assert all(gain(name, worse, better) > 0 for better, worse in pairwise(values))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("levels", [(0, 0), (0, 255), (255, 0), (127, 128)])
def test_flat_images_give_finite_values(name: str, levels: tuple[int, int]) -> None:
    first, second = (np.full((24, 22, 3), level, np.uint8) for level in levels)
    assert math.isfinite(score(first, second, [name])[name])


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.min_side > 1])
def test_an_image_smaller_than_the_window_is_refused_with_its_size(name: str) -> None:
    side = METRICS[name].min_side
    small = np.zeros((side - 1, side + 4, 3), np.uint8)
    with pytest.raises(
        RestorekitError, match=f"{name} needs .* at least {side} x {side} .* is {side + 4} x {side - 1}"
    ):
        score(small, small, [name])
    smallest = np.zeros((side, side, 3), np.uint8)
    assert math.isfinite(score(smallest, smallest, [name])[name])


def test_arrays_other_than_8_bit_pairs_are_refused() -> None:
    image = astronaut()[:32, :32]
    with pytest.raises(RestorekitError, match="float32"):
        score(image.astype(np.float32) / 255, image)
    with pytest.raises(RestorekitError, match="one size"):
        score(image[:30], image)
    with pytest.raises(RestorekitError, match=r"\(32, 32\)"):
        score(image[..., 0], image[..., 0])


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(RestorekitError, match="did you mean 'psnr_rgb'"):
        get_metric("psnr_rbg")


def test_promotion_metrics_are_all_in_the_table() -> None:
    promote = Params.model_fields["promote"].annotation
    assert set(get_args(promote.model_fields["metric"].annotation)) <= METRICS.keys()  # type: ignore[union-attr]
