"""Rain adds streaks in the record's direction, and lightens the photograph."""

import cv2
import numpy as np
import pytest

from restorekit.degradations import Degraded, Scene
from restorekit.degradations.rain import COMPOSITIONS, KINDS, Rain
from restorekit.degradations.streaks import DRAWINGS, draw_streaks
from restorekit.rng import rng_for

GREY = Scene(np.full((160, 200, 3), 0.3, np.float32))
LAYER = {
    "drawing": "drops",
    "density": 120.0,
    "tau": 1.0,
    "length": 0.1,
    "width": 0.004,
    "defocus": 0.0,
    "angle": 20.0,
    "spread": 0.0,
    "beads": 0.2,
    "ends": 0.25,
    "taper": 0.0,
    "flat": False,
    "share": 0.1,
    "cut": 1.0,
    "uneven": 0.0,
    "seed": 5,
}


def rain(scene: Scene, kind: str, seed: int = 1, severity: float = 0.5, **changed: object) -> Degraded:
    params = Rain().sample(rng_for(seed, kind), scene.image.shape[:2], severity, kind)
    return Rain().apply(scene, {**params, **changed})


def test_the_layer_is_the_change_and_lies_where_the_mask_is() -> None:
    for kind in KINDS:
        made = rain(GREY, kind)
        np.testing.assert_array_equal(made.noise_layer, made.degraded - made.clean)
        inside, outside = (np.abs(made.noise_layer[made.mask == value]).mean() for value in (1, 0))
        assert inside > 3 * outside * (kind != "heavy")


def test_added_streaks_do_not_see_the_background_and_a_screen_keeps_white() -> None:
    dark, bright = (Scene(np.full((160, 200, 3), value, np.float32)) for value in (0.2, 1.0))
    added = [rain(scene, "light", light=[0.7] * 3, opacity=0.0).noise_layer for scene in (dark, bright)]
    np.testing.assert_allclose(*added, atol=1e-6)
    assert added[0].min() > -1e-6
    screened = [rain(scene, "light", light=[1.0] * 3, opacity=1.0).noise_layer for scene in (dark, bright)]
    assert screened[0].max() > 0.3
    np.testing.assert_allclose(screened[1], 0.0, atol=1e-6)
    blended = rain(bright, "light", light=[0.7] * 3, opacity=1.0).noise_layer
    assert blended.min() < -0.1
    assert blended.max() < 1e-6


def test_one_set_holds_every_drawing_composition_and_size() -> None:
    records = [Rain().sample(rng_for(seed), (320, 320), 0.5, "mixed") for seed in range(200)]
    layers = [layer for record in records for layer in record["layers"]]
    assert {layer["drawing"] for layer in layers} == set(DRAWINGS)
    assert {record["composition"] for record in records} == set(COMPOSITIONS)
    assert {len(record["layers"]) for record in records} == {1, 2, 3}
    widths = np.array([layer["width"] for layer in layers])
    assert widths.max() > 8 * widths.min()
    kinds = [record["kind"] for record in records]
    assert 0.4 < kinds.count("light") / len(kinds) < 0.6
    turned = [np.ptp([layer["angle"] for layer in record["layers"]]) for record in records]
    assert 0.05 < np.mean(np.array(turned) > 8.0) < 0.4


def test_heavy_rain_covers_more_and_hides_far_things() -> None:
    covered = {
        kind: np.mean([rain(GREY, kind, seed, 0.6).mask.mean() for seed in range(8)]) for kind in ("light", "heavy")
    }
    assert covered["light"] < 0.35 < covered["heavy"]
    disparity = np.ones((160, 200), np.float32)
    disparity[:, 100:] = 8.0
    params = Rain().sample(rng_for(1), (160, 200), 0.6, "heavy")
    veil = Rain().apply(Scene(GREY.image, disparity), {**params, "layers": [{**params["layers"][0], "tau": 0.0}]})
    assert veil.noise_layer[:, :100].mean() > 3 * veil.noise_layer[:, 100:].mean() > 0


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("angle", [-30.0, -8.0, 0.0, 20.0])
def test_streaks_fall_in_the_direction_of_the_record(angle: float, drawing: str) -> None:
    tau = draw_streaks((600, 600), {**LAYER, "drawing": drawing, "angle": angle, "length": 0.2}, 0.0)
    down, across = np.gradient(cv2.GaussianBlur(tau, (0, 0), 5.0))  # wider than a cell of noise
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


def test_noise_covers_less_of_the_frame_above_a_higher_cut() -> None:
    few, many = (draw_streaks((400, 400), {**LAYER, "drawing": "noise", "cut": cut}, 0.0) for cut in (1.5, 0.3))
    assert 0.01 < np.mean(few > 0.02) < 0.5 * np.mean(many > 0.02) < 0.3
    assert np.quantile(many, 0.998) == pytest.approx(np.quantile(few, 0.998), rel=0.3)  # the brightest stay as bright


def test_a_taper_moves_light_along_the_streak_and_keeps_its_sum() -> None:
    alone = {**LAYER, "density": 4.0, "angle": 0.0, "beads": 0.0, "seed": 3}
    even, tapered = (draw_streaks((500, 500), {**alone, "taper": taper}, 0.0) for taper in (0.0, 0.8))
    assert tapered.sum() == pytest.approx(even.sum(), rel=0.1)
    assert np.abs(tapered - even).max() > 0.2 * even.max()
