"""Raindrops are small lenses: they show the scene upside down, and the rest of the frame is unchanged."""

from collections.abc import Callable

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.raindrop import DENSITY, KINDS, LARGEST, Raindrop
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
    """In a frame of even light, no drop is brighter than the frame."""
    fog = Scene(np.full((*SIZE, 3), 0.7, np.float32))
    for seed in range(4):
        made = Raindrop().apply(fog, Raindrop().sample(rng_for(seed, kind), SIZE, 1.0, kind))
        assert made.degraded.max() <= 0.7 + 1e-5


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
