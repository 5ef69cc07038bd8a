"""The published syntheses S1 and S2 (dmgn.md, sections 9 and 15.11), and the additions of `Reflection`."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from restorekit.degradations import Scene
from restorekit.degradations.glass import SHAPES
from restorekit.degradations.reflection import Reflection, is_too_dark, place_reflected, s1, s2, vignette
from restorekit.errors import RestorekitError
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
S2 = {"sigma": 2.3, "attenuation": 1.1, "alpha": 0.87, "window": (40, 71)}


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = rng_for(3, "pair")
    return rng.random((64, 48, 3), np.float32), rng.random((64, 48, 3), np.float32)


def test_s1_without_blur_is_the_plain_sum(pair: tuple[np.ndarray, np.ndarray]) -> None:
    made = s1(*pair, blur=False)
    np.testing.assert_array_equal(made.mixture, pair[0] + pair[1])
    np.testing.assert_array_equal(made.reflection, pair[1])
    assert made.mixture.max() > 1


def test_s1_with_blur_follows_its_formula(pair: tuple[np.ndarray, np.ndarray]) -> None:
    sigma = 3.3
    made = s1(*pair, blur=True, sigma=sigma)
    weights = np.exp(-0.5 * (np.arange(-5, 6) / sigma) ** 2)
    weights /= weights.sum()
    blurred = pair[1].astype(np.float64)
    for axis in (0, 1):
        blurred = np.apply_along_axis(lambda line: np.convolve(line, weights, mode="same"), axis, blurred)
    mixture = pair[0] + blurred
    blurred = np.clip(blurred - 1.3 * (mixture[mixture > 1].mean() - 1), 0, 1)
    np.testing.assert_allclose(made.reflection, blurred, atol=1e-5)
    np.testing.assert_allclose(made.mixture, np.clip(pair[0] + blurred, 0, 1), atol=1e-5)
    assert made.mixture.max() <= 1


def test_s1_with_blur_does_not_lower_a_dark_pair() -> None:
    grey = np.full((40, 40, 3), 0.3, np.float32)
    made = s1(grey, grey, blur=True)
    assert made.reflection[20, 20, 0] == pytest.approx(0.3, abs=1e-6)
    assert made.reflection[0, 0, 0] < 0.15  # zero padding darkens borders


def test_s2_follows_its_formula(pair: tuple[np.ndarray, np.ndarray]) -> None:
    made = s2(*pair, **S2, clip=False)
    background, reflected = (image.astype(np.float64) ** 2.2 for image in pair)
    radius = int(np.ceil(2 * S2["sigma"]))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / S2["sigma"]) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        mirrored = np.pad(reflected, [(radius, radius) if axis == i else (0, 0) for i in range(3)], mode="reflect")
        reflected = np.apply_along_axis(lambda line: np.convolve(line, weights, mode="valid"), axis, mirrored)
    for channel in range(3):
        mixture = (background + reflected)[..., channel]
        excess = max(1.0, mixture[mixture > 1].mean()) - 1
        reflected[..., channel] -= excess * S2["attenuation"]
    points = np.linspace(-3 - 7 / 1120, 3 + 7 / 1120, 561)
    window = np.sqrt(np.outer(np.diff(norm.cdf(points)), np.diff(norm.cdf(points))))
    window = (window / window.max())[40:104, 71:119]
    reflected = np.clip(reflected, 0, 1) * window[..., None]
    np.testing.assert_allclose(made.reflection, reflected ** (1 / 2.2), atol=1e-4)
    np.testing.assert_allclose(made.mixture, (reflected + S2["alpha"] * background) ** (1 / 2.2), atol=1e-4)


@pytest.mark.parametrize("clip", [False, True])
def test_s2_ranges_and_determinism(clip: bool, pair: tuple[np.ndarray, np.ndarray]) -> None:
    made, again = (s2(*pair, **S2, clip=clip) for _ in range(2))
    assert made.background is pair[0]
    assert made.reflection.min() >= 0
    assert made.reflection.max() <= 1
    assert (made.mixture.max() <= 1) or not clip
    np.testing.assert_array_equal(made.mixture, again.mixture)


@pytest.mark.parametrize("size", [(550, 20), (20, 550)])
def test_s2_refuses_frames_that_are_too_large(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.float32)
    with pytest.raises(RestorekitError, match="549"):
        s2(image, image, **{**S2, "window": (0, 0)}, clip=False)


def test_s2_refuses_a_window_outside_of_the_vignette(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(RestorekitError, match="starts between 0 and 485"):
        s2(*pair, **{**S2, "window": (486, 0)}, clip=False)


def test_vignette_shrinks_with_its_step() -> None:
    np.testing.assert_allclose(
        vignette((100, 100), (30, 50), 1.0)[::4, ::4], vignette((25, 25), (30, 50), 4.0), atol=1e-6
    )


@pytest.mark.parametrize("kind, seed", [("s1", 0), ("s1", 1), ("s1", 2), ("s2", 0), ("s2", 1)])
def test_a_256_frame_at_full_strength_is_the_published_synthesis(kind: str, seed: int, make_scene: MakeScene) -> None:
    scene = make_scene((256, 256), "astronaut")
    params = Reflection().sample(rng_for(seed, kind), (256, 256), 1.0, kind)
    reflected = place_reflected(scene.other, (256, 256), params["place"])
    params["strength"] = 9.0
    if kind == "s1":
        published = s1(scene.image, reflected, params["blur"], params["sigma"])
    else:
        params["window"] = [100 / 293, 200 / 293]
        settings = {name: params[name] for name in ("sigma", "attenuation", "alpha", "clip")}
        published = s2(scene.image, reflected, window=(100, 200), **settings)
    made = Reflection().apply(scene, params)
    np.testing.assert_allclose(made.degraded, published.mixture, atol=2e-6)
    np.testing.assert_allclose(made.noise_layer, published.reflection, atol=2e-6)


@pytest.mark.parametrize("size", [(256, 256), (96, 200), (200, 96)])
@pytest.mark.parametrize("other", [(300, 400), (400, 300), (50, 900)])
def test_the_reflected_photograph_covers_its_share(size: tuple[int, int], other: tuple[int, int]) -> None:
    photograph = np.ones((*other, 3), np.float32)
    for offset in ([0.0, 0.0], [1.0, 1.0]):
        placed = place_reflected(photograph, size, {"short_side": 400, "offset": offset})
        assert placed.shape == (*size, 3)
        ratio = 400 / 256 * min(size) / other[int(size[0] > size[1])]
        covered = [min(1.0, reached * ratio / side) for reached, side in zip(other, size, strict=True)]
        assert placed.mean() == pytest.approx(covered[0] * covered[1], abs=0.03)


def test_a_reflected_photograph_of_less_than_half_the_brightness_is_too_dark() -> None:
    bright, dark = np.full((9, 9, 3), 0.8, np.float32), np.full((5, 5, 3), 0.39, np.float32)
    assert is_too_dark(bright, dark)
    assert not is_too_dark(dark, bright)
    assert not is_too_dark(bright, dark + np.float32(0.02))


def test_a_reflection_without_another_photograph_is_refused(make_scene: MakeScene) -> None:
    scene = Scene(make_scene((64, 64)).image)
    with pytest.raises(RestorekitError, match="second photograph"):
        Reflection().apply(scene, Reflection().sample(rng_for(0), (64, 64), 0.5, "s2"))


def test_the_target_is_the_background_and_the_mask_marks_its_changes(make_scene: MakeScene) -> None:
    scene = make_scene((128, 160), "rocket")
    made = Reflection().apply(scene, Reflection().sample(rng_for(4), (128, 160), 0.8, "s2"))
    change = np.abs(made.degraded - scene.image).max(axis=2)
    assert change[made.mask == 1].min() > 0.039
    assert change[made.mask == 0].max() < 0.041
    assert 0.05 < made.mask.mean() < 1


def glass(make_scene: MakeScene, **changes) -> tuple[Scene, dict]:
    """A grey frame and one bright square, reflected by a pane with only the effects in `changes`."""
    other = np.zeros((96, 96, 3), np.float32)
    other[40:52, 40:52] = 1.0
    params = Reflection().sample(rng_for(1), (96, 96), 1.0, "glass")
    params |= {"place": {"short_side": 256, "offset": [0.0, 0.0]}, "strength": 9.0, "defocus": 0.0, "highlights": 0.0}
    params |= {"ghost": [0.0, 0.0], "ghost_weight": 0.0, "fade": [0.0, 0.0], "fade_corners": 0.0, "alpha": [1.0] * 3}
    params |= {"exposure": 1.0, "tint": [1.0] * 3, "cover": {"shape": "all", "rest": 0.0}}
    return Scene(np.full((96, 96, 3), 0.2, np.float32), other=other), params | changes


def test_thick_glass_shows_two_copies_in_linear_light(make_scene: MakeScene) -> None:
    scene, params = glass(make_scene, ghost=[0.0, 0.25], ghost_weight=0.5)
    light = Reflection().apply(scene, params).degraded[46, :, 0] ** 2.2 - 0.2**2.2
    np.testing.assert_allclose([light[46], light[46 + 24], light[20]], [2 / 3, 1 / 3, 0.0], atol=1e-3)


def test_lamps_are_brighter_than_white_and_glass_fades(make_scene: MakeScene) -> None:
    plain, bright, faded = (
        Reflection().apply(*glass(make_scene, **changes)).noise_layer
        for changes in ({}, {"highlights": 3.0}, {"fade_corners": 1.5, "fade": [1.0, -0.5]})
    )
    assert plain.max() == pytest.approx(1.0, abs=1e-3)
    assert bright.max() == pytest.approx(4 ** (1 / 2.2), rel=1e-3)
    assert faded[40:52, 51].max() < faded[40:52, 44].max()
    assert faded[51, 46, 0] > faded[40, 46, 0]


def test_out_of_focus_glass_keeps_its_light(make_scene: MakeScene) -> None:
    sharp, soft = (
        Reflection().apply(*glass(make_scene, defocus=defocus)).noise_layer ** 2.2 for defocus in (0.0, 0.02)
    )
    assert soft.sum() == pytest.approx(sharp.sum(), rel=1e-3)
    assert (soft > 1e-3).sum() > 1.5 * (sharp > 1e-3).sum()


@pytest.mark.parametrize("kind, in_light", [("glass", True), ("sum", False), ("screen", False), ("screen", True)])
def test_a_pane_blends_as_its_formula_says(kind: str, in_light: bool, make_scene: MakeScene) -> None:
    scene = make_scene((96, 128), "astronaut")
    params = Reflection().sample(rng_for(5), (96, 128), 0.9, kind) | {"in_light": in_light}
    made = Reflection().apply(scene, params)
    assert made.clean is scene.image
    power = 2.2 if in_light else 1.0
    kept = np.array(params["alpha"]) ** (1 if in_light else 1 / 2.2)
    seen, reflected = scene.image**power * kept, made.noise_layer**power
    expected = {
        "glass": seen + reflected,
        "sum": np.minimum(seen + reflected, 1),
        "screen": seen + np.minimum(reflected, 1) - seen * np.minimum(reflected, 1),
    }[kind]
    np.testing.assert_allclose(made.degraded, expected ** (1 / power), atol=2e-5)


@pytest.mark.parametrize("kind", ["glass", "sum", "screen"])
def test_a_pane_has_the_strength_of_its_record(kind: str, make_scene: MakeScene) -> None:
    scene = make_scene((120, 160), "astronaut")
    close = 0
    for seed in range(20):
        params = Reflection().sample(rng_for(seed, kind), (120, 160), 0.5, kind)
        change = np.clip(Reflection().apply(scene, params).degraded, 0, 1) - scene.image
        assert np.sqrt(np.mean(change**2)) < 1.1 * params["strength"] + 0.005
        close += abs(np.sqrt(np.mean(change**2)) / params["strength"] - 1) < 0.1
    assert close >= 16


def test_draws_cover_what_real_reflections_show() -> None:
    draws = [Reflection().sample(rng_for(seed), (96, 96), 0.1 + 0.8 * seed / 799, "mixed") for seed in range(800)]
    strength = np.array([params["strength"] for params in draws])
    # Most of real20 and of CEILNet's test images, by the root mean square of their change.
    assert np.percentile(strength, 2) < 0.075
    assert np.percentile(strength, 98) > 0.21
    assert strength.max() > 0.3
    panes = [params for params in draws if "cover" in params]
    assert {params["kind"] for params in panes} == {"glass", "sum", "screen"}
    assert {params["cover"]["shape"] for params in panes} == set(SHAPES)
    assert {params["in_light"] for params in panes if params["kind"] == "screen"} == {True, False}
    defocus = np.array([params["defocus"] for params in panes])
    assert 0.1 < (defocus == 0).mean() < 0.3
    assert defocus[defocus > 0].min() < 0.001
    assert defocus.max() > 0.025
    assert min(min(params["alpha"]) for params in panes) < 0.7
    assert np.median([max(params["alpha"]) for params in panes]) > 0.85
    tint = np.array([params["tint"] for params in panes])
    assert tint.max() == 1
    assert tint.min() < 0.45
    assert np.median(tint.min(1)) > 0.6
    assert min(params["highlights"] for params in panes) < 0.5
    assert max(params["highlights"] for params in panes) > 15


def test_a_local_reflection_leaves_the_rest_of_the_frame(make_scene: MakeScene) -> None:
    corners = [[0.2, 0.1], [0.2, 0.4], [0.6, 0.4], [0.6, 0.1]]
    cover = {"shape": "windows", "rest": 0.0, "windows": [{"corners": corners, "bars": [0, 1]}]}
    scene, params = glass(make_scene, cover=cover)
    layer = Reflection().apply(replace(scene, other=np.ones((96, 96, 3), np.float32)), params).noise_layer[..., 0]
    assert layer[30:50, 12:22].min() == pytest.approx(1, abs=1e-3)
    assert layer[:, 45:].max() < 1e-3
    assert layer[40, 22:26].min() ** 2.2 < 0.6  # the light in the bar, two pixels wide
    assert layer[65:].max() < 1e-3
    lamp = {"centre": [0.5, 0.75], "radius": 0.05, "stretch": 1.0, "light": [8.0, 4.0, 2.0]}
    scene, params = glass(make_scene, cover={"shape": "lamps", "rest": 0.0, "lamps": [lamp]})
    light = Reflection().apply(scene, params).noise_layer ** 2.2
    assert np.unravel_index(light[..., 0].argmax(), (96, 96)) == pytest.approx((48, 72), abs=1)
    np.testing.assert_allclose(light[48, 72] / light[48, 72, 2], [4, 2, 1], rtol=1e-3)
    assert light[:, :40].max() < 1e-3


@pytest.mark.parametrize("size", [(96, 160), (160, 96)])
@pytest.mark.parametrize("other", [(300, 200), (200, 300)])
def test_a_pane_reflects_to_its_borders(size: tuple[int, int], other: tuple[int, int]) -> None:
    white = np.ones((*other, 3), np.float32)
    still = {"defocus": 0.0, "fade": [0.0, 0.0], "fade_corners": 0.0, "cover": {"shape": "all", "rest": 0.0}}
    for seed in range(6):
        params = Reflection().sample(rng_for(seed), size, 0.5, "glass") | still
        layer = Reflection().apply(Scene(np.full((*size, 3), 0.2, np.float32), other=white), params).noise_layer
        np.testing.assert_allclose(layer, np.broadcast_to(layer[0, 0], layer.shape), rtol=1e-4)
