"""Each figure of a clean image tells one kind of harm: any change, lost detail, a change of brightness."""

import math

import cv2
import numpy as np
import pytest
from scipy.ndimage import laplace
from skimage.data import astronaut

from restorekit.config.runs import PromoteConfig
from restorekit.errors import RestorekitError
from restorekit.metrics.clean_metrics import CLEAN_CAP_DB, CLEAN_METRICS, CLEAN_PSNR, clean_detail, measure_clean
from restorekit.metrics.psnr import psnr_rgb
from restorekit.rng import rng_for


@pytest.fixture
def clean() -> np.ndarray:
    return np.clip(astronaut()[40:77, 200:231], 40, 200).astype(np.uint8)


def test_an_unchanged_image_has_the_untouched_figures(clean: np.ndarray) -> None:
    assert measure_clean(clean, clean) == {"clean_psnr": CLEAN_CAP_DB, "clean_detail": 1.0, "clean_shift": 0.0}
    assert {name: metric.untouched for name, metric in CLEAN_METRICS.items()} == measure_clean(clean, clean)


def test_the_shift_is_signed_and_leaves_the_detail(clean: np.ndarray) -> None:
    for levels in (-7, 12):
        figures = measure_clean((clean.astype(np.int16) + levels).astype(np.uint8), clean)
        assert figures["clean_shift"] == levels
        assert figures["clean_detail"] == 1.0
        assert figures["clean_psnr"] == pytest.approx(20 * math.log10(255 / abs(levels)))


def test_blur_loses_detail_and_noise_adds_it_without_a_shift(clean: np.ndarray) -> None:
    detail = [clean_detail(cv2.GaussianBlur(clean, (0, 0), sigma), clean) for sigma in (0.4, 0.7, 1.0)]
    assert 1.0 > detail[0] > detail[1] > detail[2] > 0.0  # type: ignore[operator]
    noise = rng_for(1, "noise").normal(0.0, 4.0, clean.shape)
    noisy = measure_clean(np.clip(clean + noise, 0, 255).round().astype(np.uint8), clean)
    assert noisy["clean_detail"] > 1.05  # type: ignore[operator]
    assert abs(noisy["clean_shift"]) < 0.3  # type: ignore[arg-type]


def test_detail_is_the_ratio_of_the_energies_of_the_laplacian(clean: np.ndarray) -> None:
    blurred = cv2.GaussianBlur(clean, (0, 0), 0.8)
    energies = [
        sum(np.square(laplace(image[..., c].astype(np.float64), mode="mirror")).sum() for c in range(3))
        for image in (blurred, clean)
    ]
    assert clean_detail(blurred, clean) == pytest.approx(energies[0] / energies[1], rel=1e-6)


def test_an_image_without_detail_has_no_share_of_it(clean: np.ndarray) -> None:
    flat = np.full_like(clean, 90)
    assert measure_clean(clean, flat)["clean_detail"] is None
    assert clean_detail(flat, clean) == 0.0


def test_the_cap_is_above_all_but_a_change_in_few_values(clean: np.ndarray) -> None:
    one_level = clean + np.uint8(1)
    assert measure_clean(one_level, clean)[CLEAN_PSNR] == psnr_rgb(one_level, clean) == pytest.approx(48.13, abs=0.01)
    one_value = clean.copy()
    one_value[3, 4, 1] += 1
    assert psnr_rgb(one_value, clean) > CLEAN_CAP_DB
    assert measure_clean(one_value, clean)[CLEAN_PSNR] == CLEAN_CAP_DB


def test_no_floor_of_the_gate_is_above_the_figure_of_an_untouched_image() -> None:
    assert PromoteConfig(clean_psnr=CLEAN_CAP_DB).clean_psnr == CLEAN_CAP_DB
    with pytest.raises(ValueError, match="less than or equal"):
        PromoteConfig(clean_psnr=CLEAN_CAP_DB + 0.1)


def test_images_of_two_sizes_are_refused(clean: np.ndarray) -> None:
    with pytest.raises(RestorekitError, match="must have one size"):
        measure_clean(clean[:-1], clean)
