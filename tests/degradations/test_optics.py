"""Photographs out of focus: sharp in the record's part, blurred elsewhere, with the same light."""

import json

import numpy as np
import pytest

from restorekit.degradations.optics import BLUR, NEAR, SHARP, draw_focus, out_of_focus, to_light
from restorekit.rng import rng_for

HEIGHT, WIDTH = 96, 144


@pytest.fixture
def image() -> np.ndarray:
    return rng_for(1, "focus").random((HEIGHT, WIDTH, 3), dtype=np.float32)


def test_the_part_in_focus_stays_and_the_rest_loses_detail_but_no_light(image: np.ndarray) -> None:
    focus = {"centre": [0.5, 0.25], "sharp": 0.2, "blur": 0.03}
    before, blurred = image.copy(), out_of_focus(image, focus)
    assert np.array_equal(image, before)
    assert (blurred.dtype, blurred.shape) == (np.float32, image.shape)
    down, right = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(down - 0.5 * HEIGHT, right - 0.25 * WIDTH) / HEIGHT
    assert np.array_equal(blurred[distance < 0.2], image[distance < 0.2])
    far = distance > 0.26
    assert blurred[far].std() < image[far].std() / 4
    assert to_light(blurred)[far].mean() == pytest.approx(to_light(image)[far].mean(), rel=0.03)


def test_without_a_part_in_focus_the_whole_frame_loses_detail(image: np.ndarray) -> None:
    blurred = out_of_focus(image, {"centre": [0.5, 0.5], "sharp": 0.0, "blur": 0.03})
    for part in (np.s_[:30, :30], np.s_[40:56, 60:84], np.s_[-30:, -30:]):
        assert blurred[part].std() < image[part].std() / 4


@pytest.mark.parametrize("sharp", [0.0, 0.3])
def test_a_flat_image_stays_flat(sharp: float) -> None:
    flat = np.full((40, 60, 3), 0.4, np.float32)
    np.testing.assert_allclose(out_of_focus(flat, {**draw_focus(rng_for(2)), "sharp": sharp}), flat, atol=1e-5)


def test_draws_are_json_within_their_ranges_and_scale_with_the_image(image: np.ndarray) -> None:
    drawn = [draw_focus(rng_for(3, number)) for number in range(50)]
    assert json.loads(json.dumps(drawn)) == drawn
    for focus in drawn:
        assert all(0 <= value <= 1 for value in focus["centre"])
        assert BLUR[0] <= focus["blur"] <= BLUR[1]
        assert focus["sharp"] == 0 or SHARP[0] <= focus["sharp"] <= SHARP[1]
    assert np.mean([focus["sharp"] == 0 for focus in drawn]) == pytest.approx(NEAR, abs=0.2)
    large = np.kron(image, np.ones((3, 3, 1), np.float32))
    focus = {"centre": [0.0, 0.0], "sharp": 0.15, "blur": 0.03}
    again = out_of_focus(large, focus).reshape(HEIGHT, 3, WIDTH, 3, 3).mean((1, 3))
    assert np.abs(again - out_of_focus(image, focus))[30:, 30:].mean() < 0.02
