"""Haze follows its scattering model exactly, with measured depth if the scene has any."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.haze import FAR, KINDS, Haze, scene_depth
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
SIZE = (128, 160)


@pytest.mark.parametrize("kind", KINDS)
def test_model_inverts_with_its_own_airlight_and_transmission(kind: str, make_scene: MakeScene) -> None:
    scene = make_scene(SIZE)
    for severity in (0.0, 0.5, 1.0):
        params = Haze().sample(rng_for(2, kind), SIZE, severity, kind)
        made = Haze().apply(scene, params)
        airlight = np.array(params["airlight"], np.float32)
        t = made.transmission[..., None]
        np.testing.assert_allclose((made.degraded - airlight * (1 - t)) / t, scene.image, atol=2e-5)
        np.testing.assert_array_equal(made.noise_layer, made.degraded - scene.image)
        assert made.transmission.min() > 0
        assert made.transmission.max() <= 1


def test_drawn_values_lie_in_the_published_ranges() -> None:
    for seed in range(50):
        params = Haze().sample(rng_for(seed), SIZE, seed / 49, "mixed")
        assert 0.4 <= params["beta"] <= 1.6
        assert all(0.7 <= value <= 1.0 for value in params["airlight"])
        assert (params["variation"] > 0) == (params["kind"] == "varying")


def test_uniform_haze_is_the_exponential_of_depth(make_scene: MakeScene) -> None:
    scene = replace(make_scene(SIZE), disparity=np.full(SIZE, 4.0, np.float32))
    scene.disparity[:, 80:] = 1.0
    params = Haze().sample(rng_for(1), SIZE, 0.5, "uniform")
    made = Haze().apply(scene, params)
    near, far = -np.log(made.transmission[0, [0, -1]])
    assert far == pytest.approx(params["beta"] * FAR, rel=1e-5)
    assert near == pytest.approx(far / 4, rel=1e-5)


def test_varying_haze_varies_at_one_depth(make_scene: MakeScene) -> None:
    scene = replace(make_scene(SIZE), disparity=np.ones(SIZE, np.float32))
    uniform, varying = (
        Haze().apply(scene, Haze().sample(rng_for(1), SIZE, 0.5, kind)).transmission.std() for kind in KINDS
    )
    assert uniform < 1e-6
    assert varying > 0.03


@pytest.mark.parametrize("unknown", [0.0, np.nan, -1.0, np.inf])
def test_holes_of_the_disparity_take_the_farther_neighbour(unknown: float, make_scene: MakeScene) -> None:
    disparity = np.full(SIZE, 2.0, np.float32)
    disparity[:, 60:] = 8.0
    disparity[40:80, 55:65] = unknown
    disparity[100] = unknown
    scene = replace(make_scene(SIZE), disparity=disparity)
    depth = scene_depth(scene, Haze().sample(rng_for(1), SIZE, 0.5, "uniform")["depth"])
    assert np.isfinite(depth).all()
    assert depth[60, 57] == pytest.approx(FAR)
    assert (depth > 0).all()
    assert (depth <= 1.5 * FAR).all()


def test_prior_puts_the_ground_near_and_the_sky_far() -> None:
    image = np.full((120, 160, 3), (0.2, 0.3, 0.1), np.float32)
    image[:50] = (0.7, 0.8, 0.95)
    depths = [
        scene_depth(Scene(image), Haze().sample(rng_for(seed), (120, 160), 0.5, "uniform")["depth"])
        for seed in range(5)
    ]
    for depth in depths:
        assert depth[:30].mean() > 1.3 * FAR
        assert depth[100:].mean() < 0.6 * FAR


def test_disparity_without_any_known_value_falls_back_to_the_prior(make_scene: MakeScene) -> None:
    params = Haze().sample(rng_for(1), SIZE, 0.5, "uniform")["depth"]
    scene = make_scene(SIZE)
    empty = replace(scene, disparity=np.zeros(SIZE, np.float32))
    np.testing.assert_array_equal(scene_depth(empty, params), scene_depth(scene, params))
