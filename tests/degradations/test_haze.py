"""Haze follows its scattering model exactly, with measured depth if the scene has any."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.depth import FAR, LAYOUTS, draw_depth, draw_layout, scene_depth
from restorekit.degradations.haze import AIRLIGHT, DARKENING, KINDS, NOISE, Haze, darkened
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
SIZE = (128, 160)


@pytest.mark.parametrize("kind", KINDS)
def test_model_inverts_with_its_own_airlight_and_transmission(kind: str, make_scene: MakeScene) -> None:
    scene = make_scene(SIZE)
    for seed, severity in enumerate((0.0, 0.5, 1.0)):
        params = Haze().sample(rng_for(seed, kind), SIZE, severity, kind) | {"darkening": 1.0, "noise": 0.0}
        made = Haze().apply(scene, params)
        airlight = np.array(params["airlight"], np.float32)
        t = made.transmission[..., None]
        np.testing.assert_allclose(made.degraded, scene.image * t + airlight * (1 - t), atol=1e-6)
        seen = np.broadcast_to(t > 0.05, scene.image.shape)
        np.testing.assert_allclose(((made.degraded - airlight * (1 - t)) / t)[seen], scene.image[seen], atol=2e-5)
        np.testing.assert_array_equal(made.noise_layer, made.degraded - scene.image)
        assert made.transmission.min() > 0
        assert made.transmission.max() <= 1


def test_darkening_follows_the_haze_and_leaves_clear_air_as_it_was(make_scene: MakeScene) -> None:
    image = np.clip(make_scene(SIZE).image, 0.01, 1.0)
    transmission = np.tile(np.linspace(1e-3, 1.0, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    dark = darkened(image, 2.5, transmission)
    np.testing.assert_allclose(dark, image ** (2.5 - 1.5 * transmission[..., None]), atol=1e-5)
    np.testing.assert_allclose(dark[:, -1], image[:, -1], atol=1e-6)
    scene = make_scene(SIZE)
    params = Haze().sample(rng_for(1), SIZE, 0.5, "uniform") | {"noise": 0.0, "airlight": [0.25] * 3}
    clear, dimmed = (Haze().apply(scene, params | {"darkening": exponent}) for exponent in (1.0, 3.0))
    assert dimmed.clean is scene.image
    assert (dimmed.degraded <= clear.degraded + 1e-5).all()
    assert dimmed.degraded.mean() < clear.degraded.mean() - 0.02


def test_noise_lies_below_the_haze_and_not_in_the_target(make_scene: MakeScene) -> None:
    scene = replace(make_scene((64, 600)), disparity=np.repeat(np.float32([[8.0], [1.0]]), 32, 0).repeat(600, 1))
    params = Haze().sample(rng_for(1), (64, 600), 0.9, "uniform") | {"darkening": 1.0}
    clear, noisy = (Haze().apply(scene, params | {"noise": deviation}) for deviation in (0.0, 0.03))
    added = noisy.degraded - clear.degraded
    near, far = added[:32].std(), added[32:].std()
    np.testing.assert_allclose([near, far], 0.03 * noisy.transmission[[0, -1], 0], rtol=0.05)
    assert abs(added.mean()) < 1e-3
    assert noisy.clean is scene.image


def test_draws_cover_their_ranges() -> None:
    draws = [Haze().sample(rng_for(seed), SIZE, 0.1 + 0.8 * seed / 599, "mixed") for seed in range(600)]
    airlight = np.array([params["airlight"] for params in draws])
    assert AIRLIGHT[0] <= airlight.min() < 0.3
    assert 0.97 < airlight.max() <= AIRLIGHT[1]
    assert 0.6 < (airlight.mean(1) > 0.7).mean() < 0.8
    warmth = airlight[:, 0] - airlight[:, 2]
    assert warmth.min() < -0.2
    assert warmth.max() > 0.2
    assert (np.abs(warmth) < 0.06).mean() > 0.7
    beta = np.array([params["beta"] for params in draws])
    assert beta.min() < 0.3
    assert beta.max() > 2
    dark = [params["darkening"] for params in draws if params["darkening"] != 1.0]
    assert 0.2 < len(dark) / len(draws) < 0.3
    assert DARKENING[0] <= min(dark) < 1.6 < 2.9 < max(dark) <= DARKENING[1]
    noise = [params["noise"] for params in draws if params["noise"]]
    assert 0.2 < len(noise) / len(draws) < 0.4
    assert NOISE[0] <= min(noise) < 0.005 < 0.025 < max(noise) <= NOISE[1]
    assert {params["depth"]["layout"] for params in draws} == set(LAYOUTS)
    assert all((params["variation"] > 0) == (params["kind"] == "varying") for params in draws)
    assert all((params["patches"] is not None) == (params["kind"] == "patches") for params in draws)


def test_uniform_haze_is_the_exponential_of_depth(make_scene: MakeScene) -> None:
    scene = replace(make_scene(SIZE), disparity=np.full(SIZE, 4.0, np.float32))
    scene.disparity[:, 80:] = 1.0
    params = Haze().sample(rng_for(1), SIZE, 0.5, "uniform")
    made = Haze().apply(scene, params)
    near, far = -np.log(made.transmission[0, [0, -1]])
    assert far == pytest.approx(params["beta"] * FAR, rel=1e-5)
    assert near == pytest.approx(far / 4, rel=1e-5)


def test_banks_and_patches_vary_at_one_depth_and_patches_are_thick(make_scene: MakeScene) -> None:
    scene = replace(make_scene(SIZE), disparity=np.ones(SIZE, np.float32))
    made = {
        kind: [Haze().apply(scene, Haze().sample(rng_for(seed), SIZE, 0.5, kind)).transmission for seed in range(20)]
        for kind in KINDS
    }
    assert max(t.std() for t in made["uniform"]) < 1e-6
    assert np.median([t.std() for t in made["varying"]]) > 0.03
    spans = np.array([np.percentile(t, (5, 95)) for t in made["patches"]])
    assert np.median(spans[:, 1] - spans[:, 0]) > 0.35


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_near_somewhere_and_far_elsewhere(layout: str, make_scene: MakeScene) -> None:
    scene = make_scene(SIZE, "rocket")
    drawn = [params for seed in range(300) if (params := draw_layout(rng_for(seed)))["layout"] == layout]
    assert 0.6 * LAYOUTS[layout] < len(drawn) / 300 < 1.4 * LAYOUTS[layout]
    depths = [scene_depth(scene, params) for params in drawn[:12]]
    for depth in depths:
        assert (depth.dtype, depth.shape) == (np.float32, SIZE)
        assert depth.min() >= 0.05
        assert depth.max() < 2.5
    spans = [np.percentile(depth, 95) / np.percentile(depth, 5) for depth in depths]
    assert np.median(spans) > 1.5


def test_a_corridor_is_farthest_at_its_vanishing_point() -> None:
    image = np.full((90, 120, 3), 0.5, np.float32)
    params = draw_layout(rng_for(1)) | {"layout": "corridor", "fitted": False, "relief": 0.0}
    depth = scene_depth(Scene(image), params | {"point": [0.4, 0.6], "reach": 0.3})
    assert np.unravel_index(depth.argmax(), depth.shape) == pytest.approx((0.4 * 90, 0.6 * 120), abs=1.5)
    assert depth.max() > 3 * depth[:, [0, -1]].max()


def test_the_mirror_image_lends_its_depth() -> None:
    image = np.full((*SIZE, 3), (0.08, 0.1, 0.04), np.float32)
    image[:60, :70] = (0.7, 0.8, 0.95)  # a sky on the left only
    params = draw_depth(rng_for(2)) | {"tilt": 0.0, "relief": 0.0}
    own, lent = (scene_depth(Scene(image), params | {"layout": layout}) for layout in ("photograph", "mirror"))
    assert own[:40, :40].mean() > own[:40, -40:].mean() + 0.2
    assert lent[:40, -40:].mean() > lent[:40, :40].mean() + 0.2
    np.testing.assert_allclose(lent[80:], own[80:], atol=0.02)


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
    for depth in (scene_depth(Scene(image), draw_depth(rng_for(seed))) for seed in range(5)):
        assert depth[:30].mean() > 1.3 * FAR
        assert depth[100:].mean() < 0.6 * FAR


def test_a_share_of_the_skies_is_no_farther_than_the_hills() -> None:
    image = np.full((120, 160, 3), (0.2, 0.3, 0.1), np.float32)
    image[:50] = (0.7, 0.8, 0.95)
    drawn = [params for seed in range(200) if (params := draw_layout(rng_for(seed)))["layout"] == "photograph"]
    skies = np.array([scene_depth(Scene(image), params)[:30].mean() for params in drawn])
    assert 0.5 < (skies > 1.3 * FAR).mean() < 0.8
    assert (skies < FAR).mean() > 0.1


def test_disparity_without_any_known_value_falls_back_to_the_prior(make_scene: MakeScene) -> None:
    params = Haze().sample(rng_for(1), SIZE, 0.5, "uniform")["depth"]
    scene = make_scene(SIZE)
    empty = replace(scene, disparity=np.zeros(SIZE, np.float32))
    np.testing.assert_array_equal(scene_depth(empty, params), scene_depth(scene, params))
