"""Motion blur averages light along a path: of the whole frame for a shaken camera, of regions for moving objects."""

from collections.abc import Callable

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.motion_blur import KINDS, MotionBlur
from restorekit.degradations.optics import GAMMA
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
SIZE = (200, 260)


def draw(kind: str, severity: float = 0.8, seed: int = 1) -> dict:
    return MotionBlur().sample(rng_for(seed, kind), SIZE, severity, kind)


def straight(length: float, direction: float) -> dict:
    params = {**draw("shake"), "gamma": GAMMA, "shoulder": 0.0, "highlights": 0.0}
    path = {"length": length, "direction": direction, "curvature": 0, "roll": 0, "frames": 1, "shutter": 1.0}
    return {**params, "shake": {**params["shake"], **path}}


def test_the_average_is_taken_in_linear_light() -> None:
    image = np.zeros((*SIZE, 3), np.float32)
    image[:, 130:] = 1.0
    made = MotionBlur().apply(Scene(image), straight(0.1, 0.0))
    middle = made.degraded[100, 129:131, 0].mean()
    assert middle == pytest.approx(0.5 ** (1 / GAMMA), abs=0.03)
    light = np.clip(made.degraded[100, :, 0], 0, 1) ** GAMMA
    assert light.sum() == pytest.approx(130, abs=0.5)


@pytest.mark.parametrize("direction", [0.0, 90.0])
def test_a_point_becomes_a_line_as_long_as_the_path(direction: float) -> None:
    image = np.zeros((*SIZE, 3), np.float32)
    image[99:102, 129:132] = 1.0
    bright = MotionBlur().apply(Scene(image), straight(0.08, direction)).degraded[..., 0] ** GAMMA > 0.03
    extent = [np.flatnonzero(bright.any(axis=axis)).size for axis in (1, 0)]
    along = int(direction == 0.0)
    assert extent[along] == pytest.approx(0.08 * SIZE[0] + 3, abs=2)
    assert extent[1 - along] <= 5


@pytest.mark.parametrize("length", [0.01, 0.02, 0.05])
def test_light_is_spread_evenly_over_short_and_long_paths(length: float) -> None:
    """A path of L pixels has the variance L^2 / 12, because all of its parts are exposed for the same time."""
    image = np.zeros((*SIZE, 3), np.float32)
    image[100, 130] = 1.0
    light = MotionBlur().apply(Scene(image), straight(length, 0.0)).degraded[100, :, 0].astype(np.float64) ** GAMMA
    light /= light.sum()
    places = np.arange(SIZE[1]) - 130
    spread = (light * places**2).sum() - (light * places).sum() ** 2
    # Bilinear interpolation between pixels adds a sixth of a pixel squared on average.
    assert spread == pytest.approx((length * SIZE[0]) ** 2 / 12 + 1 / 6, abs=0.12 + 0.02 * (length * SIZE[0]) ** 2 / 12)


def test_flat_light_stays_flat(make_scene: MakeScene) -> None:
    grey = Scene(np.full((*SIZE, 3), 0.4, np.float32))
    for kind in KINDS:
        np.testing.assert_allclose(MotionBlur().apply(grey, draw(kind)).degraded, 0.4, atol=2e-3)


def test_the_background_of_moving_regions_stays_sharp(make_scene: MakeScene) -> None:
    scene = make_scene(SIZE, "coffee")
    for seed in range(4):
        made = MotionBlur().apply(scene, draw("regions", seed=seed))
        change = np.abs(made.noise_layer).max(axis=2)
        assert (change < 1e-3).mean() > 0.3
        assert 0.01 < made.mask.mean() < 0.7
        np.testing.assert_array_equal(made.noise_layer, made.degraded - made.clean)


def test_shake_varies_over_the_frame() -> None:
    checks = (np.indices(SIZE).sum(axis=0) // 4 % 2).astype(np.float32)
    scene = Scene(np.repeat(checks[..., None], 3, axis=2))
    params = draw("shake", 0.5)
    params["shake"] |= {"roll": 2.0, "centre": [0.5, 0.5], "length": 0.02, "direction": 0.0}
    change = np.abs(MotionBlur().apply(scene, params).noise_layer).mean(axis=2)
    assert change[:30].mean() != pytest.approx(change[85:115].mean(), rel=0.1)


def test_a_path_too_long_for_the_pixels_is_followed_on_a_coarser_grid(make_scene: MakeScene) -> None:
    scene = make_scene((1000, 1400), "coffee")
    params = MotionBlur().sample(rng_for(3), (1000, 1400), 0.9, "regions")
    made = MotionBlur().apply(scene, params)
    still = np.abs(made.noise_layer).max(axis=2)
    assert (still < 2e-3).mean() > 0.3


def test_a_kernel_is_the_same_all_over_the_frame() -> None:
    points = np.zeros((*SIZE, 3), np.float32)
    places = [(50, 60), (150, 200)]
    for y, x in places:
        points[y, x] = 0.9
    params = {**draw("kernel", 0.5), "gamma": 1.0, "shoulder": 0.0, "highlights": 0.0}
    light = MotionBlur().apply(Scene(points), params).degraded
    one, two = (light[y - 40 : y + 41, x - 40 : x + 41] for y, x in places)
    assert (one > 1e-4).sum() > 30
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("follows", [False, True])
def test_near_layers_move_further_than_far_ones(follows: bool) -> None:
    """Nearness rises downwards, so that the blur does; it falls where the camera follows the near things."""
    checks = (np.indices(SIZE).sum(axis=0) // 3 % 2).astype(np.float32) * 0.2 + 0.4
    params = draw("layers", 0.8)
    params["layers"] |= {"slope": 60.0, "sharp": True, "slowest": 0.0, "follows": follows, "number": 4}
    params["shake"] |= {"roll": 0.0, "curvature": 0.0}
    change = np.abs(MotionBlur().apply(Scene(np.repeat(checks[..., None], 3, axis=2)), params).noise_layer)
    top, bottom = change[:30].mean(), change[-30:].mean()
    still, moved = (bottom, top) if follows else (top, bottom)
    assert still < 1e-3
    assert moved > 0.05


def test_a_lamp_leaves_a_brighter_streak_than_white_paper() -> None:
    image = np.full((*SIZE, 3), 0.1, np.float32)
    image[98:102, 128:132] = 1.0
    params = straight(0.1, 0.0)
    paper, lamp = (MotionBlur().apply(Scene(image), {**params, "highlights": light}).degraded for light in (0.0, 6.0))
    assert lamp[100, 120:140].mean() > paper[100, 120:140].mean() + 0.2
    assert lamp.max() <= 1.0
    np.testing.assert_allclose(lamp[:80], paper[:80], atol=1e-6)


def test_lengths_reach_those_of_gopro_at_any_size() -> None:
    """From few pixels to over 50 of a short side of 720, as GoPro's pairs have, and as large a share of any other."""
    for kind in ("shake", "kernel", "layers"):
        lengths = [
            MotionBlur().sample(rng_for(seed), SIZE, severity, kind)["shake"]["length"] * 720
            for seed in range(60)
            for severity in (0.1, 0.9)
        ]
        assert min(lengths) < 8
        assert max(lengths) > 50


def test_mixed_sometimes_applies_both_kinds() -> None:
    drawn = [draw("mixed", seed=seed) for seed in range(40)]
    both = sum(bool(params["shake"] and params["regions"]) for params in drawn)
    assert 4 < both < 30
    assert all(params["shake"] or params["regions"] for params in drawn)
