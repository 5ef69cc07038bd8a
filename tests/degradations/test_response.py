"""A response and its reverse keep what is still; light brighter than white leaves a streak."""

import numpy as np
import pytest

from restorekit.degradations.response import draw_response, from_exposure, to_exposure
from restorekit.rng import rng_for


def test_what_stands_still_keeps_its_values() -> None:
    image = rng_for(1).random((40, 50, 3), dtype=np.float32)
    image[:5] = 1.0
    image[5:10] = 0.0
    for seed in range(40):
        response = draw_response(rng_for(seed, "response"))
        light = to_exposure(image, response)
        before = light.copy()
        again = from_exposure(light, response)
        np.testing.assert_array_equal(light, before)
        # Clipped light is only known to be at least as bright as its value.
        assert np.abs(again - image).max() < (0.045 if response["highlights"] else 1e-4)
        assert np.abs(again - image)[image < 0.95].max() < 1e-4


@pytest.mark.parametrize("name, value", [("highlights", 4.0), ("shoulder", 0.8)])
def test_bright_light_outweighs_dark_light_in_an_average(name: str, value: float) -> None:
    plain = {"gamma": 2.2, "shoulder": 0.0, "highlights": 0.0}
    lamp, wall = np.ones((1, 1, 3), np.float32), np.full((1, 1, 3), 0.2, np.float32)
    means = []
    for response in (plain, {**plain, name: value}):
        light = 0.2 * to_exposure(lamp, response) + 0.8 * to_exposure(wall, response)
        means.append(float(from_exposure(light, response).mean()))
    assert means[1] > means[0] + 0.15
    assert means[1] <= 1.0


def test_gammas_spread_from_values_to_light() -> None:
    drawn = [draw_response(rng_for(seed)) for seed in range(200)]
    gammas = [one["gamma"] for one in drawn]
    assert min(gammas) < 1.1
    assert max(gammas) > 2.3
    assert 0.2 < np.mean([gamma == 2.2 for gamma in gammas]) < 0.6
    for name in ("shoulder", "highlights"):
        assert 0.2 < np.mean([one[name] > 0 for one in drawn]) < 0.8
