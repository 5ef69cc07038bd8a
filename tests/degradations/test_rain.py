"""Rain adds streaks in the record's direction, and lightens the photograph."""

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.rain import KINDS, Rain
from restorekit.degradations.streaks import draw_streaks
from restorekit.rng import rng_for

GREY = Scene(np.full((160, 200, 3), 0.3, np.float32))
LAYER = {
    "density": 120.0,
    "tau": 1.0,
    "length": 0.1,
    "width": 0.004,
    "defocus": 0.0,
    "angle": 20.0,
    "spread": 0.0,
    "beads": 0.2,
    "seed": 5,
}


def test_the_layer_is_the_added_light_and_never_negative() -> None:
    for kind in KINDS:
        made = Rain().apply(GREY, Rain().sample(rng_for(1, kind), (160, 200), 0.5, kind))
        np.testing.assert_array_equal(made.noise_layer, made.degraded - made.clean)
        assert made.noise_layer.min() > -1e-6
        assert made.noise_layer[made.mask == 1].mean() > 3 * made.noise_layer[made.mask == 0].mean() * (kind != "heavy")


def test_heavy_rain_covers_more_and_hides_far_things() -> None:
    light, heavy = (Rain().apply(GREY, Rain().sample(rng_for(1), (160, 200), 0.6, kind)) for kind in ("light", "heavy"))
    assert light.mask.mean() < 0.35 < heavy.mask.mean()
    disparity = np.ones((160, 200), np.float32)
    disparity[:, 100:] = 8.0
    params = Rain().sample(rng_for(1), (160, 200), 0.6, "heavy")
    veil = Rain().apply(Scene(GREY.image, disparity), {**params, "layers": [{**params["layers"][0], "density": 0.0}]})
    assert veil.noise_layer[:, :100].mean() > 3 * veil.noise_layer[:, 100:].mean() > 0


@pytest.mark.parametrize("angle", [-30.0, -8.0, 0.0, 20.0])
def test_streaks_fall_in_the_direction_of_the_record(angle: float) -> None:
    tau = draw_streaks((600, 600), {**LAYER, "angle": angle, "length": 0.2}, 0.0)
    down, across = np.gradient(tau)
    # Brightness changes across a streak, so that the main direction of the gradients is its normal.
    normal = 0.5 * np.arctan2(2 * (down * across).sum(), (across**2 - down**2).sum())
    assert np.degrees(normal) == pytest.approx(-angle, abs=1.5)


def test_thin_streaks_lose_light_and_not_width_alone() -> None:
    """A streak adds its width times its length to the frame at every resolution, even below a pixel's width."""
    amounts = [
        draw_streaks((side, side), {**LAYER, "width": width}, 0.0).mean() / width
        for side, width in ((900, 0.004), (150, 0.004), (150, 0.002), (150, 0.001))
    ]
    np.testing.assert_allclose(amounts, amounts[0], rtol=0.06)


def test_a_greater_density_moves_no_streak() -> None:
    few, many = (draw_streaks((120, 120), {**LAYER, "density": density}, 3.0) for density in (50.0, 90.0))
    assert (many - few).min() > -1e-5
    assert (many - few).max() > 0.1


def test_defocus_spreads_the_same_light() -> None:
    sharp, soft = (draw_streaks((400, 400), {**LAYER, "defocus": defocus}, 0.0) for defocus in (0.0, 0.012))
    assert soft.max() < 0.6 * sharp.max()
    assert soft.mean() == pytest.approx(sharp.mean(), rel=0.3)
