"""Raindrops are small lenses: they show the scene upside down, and the rest of the frame is unchanged."""

from collections.abc import Callable

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.drops import LARGEST
from restorekit.degradations.raindrop import DENSITY, KINDS, Raindrop
from restorekit.degradations.scene import VISIBLE
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
SIZE = (240, 320)


def halves() -> Scene:
    """A frame with a bright upper and a dark lower half."""
    image = np.full((*SIZE, 3), 0.1, np.float32)
    image[: SIZE[0] // 2] = 0.8
    return Scene(image)


@pytest.mark.parametrize("kind", KINDS)
def test_the_photograph_is_unchanged_outside_the_drops(kind: str, make_scene: MakeScene) -> None:
    scene = make_scene(SIZE)
    made = Raindrop().apply(scene, Raindrop().sample(rng_for(1, kind), SIZE, 0.0, kind))
    changed = np.abs(made.noise_layer).max(axis=2)
    # Drops are out of focus: their light fades over several pixels and then ends.
    assert (changed[made.mask == 0] == 0).mean() > 0.6
    assert (changed[made.mask == 0] < 0.5 / 255).mean() > 0.85
    assert changed[made.mask == 0].max() <= VISIBLE
    assert changed[made.mask == 1].mean() > VISIBLE
    np.testing.assert_array_equal(made.noise_layer, made.degraded - made.clean)


def test_a_drop_turns_the_scene_upside_down() -> None:
    scene = halves()
    params = {**Raindrop().sample(rng_for(2), SIZE, 0.5, "crisp"), "density": 1.0, "radius": LARGEST, "rim": 0.0}
    params |= {"centred": 1.0, "gain": 1.0, "pale": 0.0}
    for seed in range(20):
        made = Raindrop().apply(scene, {**params, "seed": seed})
        rows = np.flatnonzero(made.mask.any(axis=1))
        if rows.size and rows.size < 0.6 * SIZE[0] and rows[0] > 0 and rows[-1] < SIZE[0] - 1:
            upper, lower = np.array_split(rows, 2)
            drop = made.mask[..., None] * made.degraded
            assert drop[lower].sum() / made.mask[lower].sum() > drop[upper].sum() / made.mask[upper].sum() + 0.8
            return
    raise AssertionError("no seed gave a single drop inside of the frame")


@pytest.mark.parametrize("kind", KINDS)
def test_drops_add_no_light(kind: str) -> None:
    """In a frame of even light without lamps behind it, no drop is brighter than the frame."""
    fog = Scene(np.full((*SIZE, 3), 0.7, np.float32))
    for seed in range(4):
        params = Raindrop().sample(rng_for(seed, kind), SIZE, 1.0, kind)
        assert Raindrop().apply(fog, {**params, "lamps": 0}).degraded.max() <= 0.7 + 1e-5


def test_lamps_make_drops_glow_and_change_nothing_else() -> None:
    night = Scene(np.full((*SIZE, 3), 0.05, np.float32))
    params = {**Raindrop().sample(rng_for(3), SIZE, 0.6, "beads"), "lamps": 12, "lamp_light": 6.0, "view": 0.8}
    dark, lit = (Raindrop().apply(night, {**params, "lamps": lamps}) for lamps in (0, 12))
    assert dark.degraded.max() < 0.1
    assert (lit.degraded.max(axis=2) > 0.5).mean() > 0.001
    assert (lit.degraded >= dark.degraded - 1e-6).all()
    dry = dark.mask + lit.mask == 0
    assert (lit.degraded[dry] == night.image[dry]).mean() > 0.8


def test_a_wet_part_leaves_the_other_side_dry(make_scene: MakeScene) -> None:
    params = {**Raindrop().sample(rng_for(5), SIZE, 0.9, "crisp"), "gathered": 0.0, "radius": 0.008}
    part = {"direction": 0.0, "begins": 0.1, "soft": 0.05, "phase": 0.3}
    whole, right = (Raindrop().apply(make_scene(SIZE), {**params, "part": value}).mask for value in (None, part))
    assert whole[:, :100].mean() > 0.05
    assert right[:, :100].mean() < 0.02 < right[:, 240:].mean()
    assert (right <= np.maximum(whole, right)).all()


def test_opacity_scales_the_light_of_the_drops(make_scene: MakeScene) -> None:
    params = Raindrop().sample(rng_for(6), SIZE, 0.7, "beads")
    full, half = (
        Raindrop().apply(make_scene(SIZE), {**params, "opacity": opacity}).degraded ** 2 for opacity in (1.0, 0.5)
    )
    background = make_scene(SIZE).image ** 2
    np.testing.assert_allclose(half, (full + background) / 2, atol=1e-4)


def test_the_draws_reach_from_tiny_to_huge_from_sharp_to_soft_and_from_day_to_night() -> None:
    drawn = [Raindrop().sample(rng_for(8, seed), SIZE, 0.5, "mixed") for seed in range(300)]
    radii, defocus = ([params[name] for params in drawn] for name in ("radius", "defocus"))
    assert min(radii) < 0.006 < 0.06 < max(radii)
    assert min(defocus) < 0.0003 < 0.015 < max(defocus)
    for name in ("part", "trails", "lamps", "gathered", "disc"):
        assert 0.1 < np.mean([bool(params[name]) for params in drawn]) < 0.9
    assert 0.1 < np.mean([params["opacity"] < 1 for params in drawn]) < 0.6


def test_a_layer_without_drops_leaves_the_photograph_unchanged(make_scene: MakeScene) -> None:
    scene = make_scene(SIZE)
    made = Raindrop().apply(scene, {**Raindrop().sample(rng_for(2), SIZE, 0.5, "soft"), "density": 0.0})
    np.testing.assert_array_equal(made.degraded, scene.image)
    assert not made.mask.any()


def test_sizes_spread_widely_and_drops_stay_where_they_are(make_scene: MakeScene) -> None:
    scene = make_scene(SIZE)
    masks = [
        Raindrop().apply(scene, Raindrop().sample(rng_for(4), SIZE, severity, "crisp")).mask
        for severity in (0.1, 0.5, 0.9)
    ]
    assert (masks[1] >= masks[0]).mean() > 0.995
    assert (masks[2] >= masks[1]).mean() > 0.995
    assert masks[0].mean() < masks[1].mean() < masks[2].mean()
    assert set(DENSITY) == set(KINDS)
