"""The perceptual distance: what it must rank, and what it refuses."""

import cv2
import numpy as np
import pytest
from skimage.data import chelsea

from restorekit.errors import RestorekitError
from restorekit.metrics.perceptual import PerceptualDistance

DISTANCE = PerceptualDistance()
CLEAN = np.ascontiguousarray(chelsea()[60:188, 100:228])


def noisy(sigma: float) -> np.ndarray:
    values = CLEAN + np.random.default_rng(0).normal(0.0, sigma, CLEAN.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def test_equal_images_have_no_distance_and_the_order_does_not_matter() -> None:
    assert DISTANCE(CLEAN, CLEAN) == 0.0
    assert DISTANCE(noisy(20), CLEAN) == pytest.approx(DISTANCE(CLEAN, noisy(20)), rel=1e-5)


def test_it_grows_with_noise_and_with_blur() -> None:
    assert 0 < DISTANCE(noisy(5), CLEAN) < DISTANCE(noisy(15), CLEAN) < DISTANCE(noisy(40), CLEAN)
    blurred = [cv2.GaussianBlur(CLEAN, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0)]
    assert sorted(DISTANCE(image, CLEAN) for image in blurred) == [DISTANCE(image, CLEAN) for image in blurred]


def test_a_shift_of_a_pixel_counts_less_than_a_blur_that_psnr_prefers() -> None:
    shifted, blurred = np.roll(CLEAN, 1, axis=1), cv2.GaussianBlur(CLEAN, (0, 0), 1.5)
    errors = [np.square(image.astype(float) - CLEAN).mean() for image in (shifted, blurred)]
    assert errors[0] > 0.5 * errors[1]
    assert DISTANCE(shifted, CLEAN) < 0.5 * DISTANCE(blurred, CLEAN)


def test_tiny_and_unequal_images_are_refused() -> None:
    with pytest.raises(RestorekitError, match="at least 16 x 16"):
        DISTANCE(CLEAN[:8], CLEAN[:8])
    with pytest.raises(RestorekitError, match="one size"):
        DISTANCE(CLEAN[:64], CLEAN)
