"""A mixture applies its parts one after the other, each with its own record."""

from collections.abc import Callable

import numpy as np
import pytest

from restorekit.degradations import DEGRADATIONS, Scene
from restorekit.degradations.composition import KINDS, MIXTURES
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
SIZE = (96, 128)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_applies_its_parts_in_order(kind: str, make_scene: MakeScene) -> None:
    scene = make_scene(SIZE)
    params = DEGRADATIONS["mixed"].sample(rng_for(1), SIZE, 0.6, kind)
    assert [part["task"] for part in params["parts"]] == [task for task, _ in MIXTURES[kind]] == kind.split("+")
    image, masks = scene.image, []
    for part in params["parts"]:
        made = DEGRADATIONS[part["task"]].apply(Scene(np.clip(image, 0, 1)), part)
        image = made.degraded
        masks.append(made.mask)
    whole = DEGRADATIONS["mixed"].apply(scene, params)
    np.testing.assert_array_equal(whole.degraded, image)
    np.testing.assert_array_equal(whole.mask, np.maximum.reduce(masks))
    assert whole.clean is scene.image
    assert (whole.transmission is not None) == ("haze" in kind)


def test_every_part_is_milder_than_the_whole() -> None:
    for seed in range(20):
        params = DEGRADATIONS["mixed"].sample(rng_for(seed), SIZE, 0.8, "mixed")
        assert all(0.0 < part["severity"] < 0.8 and part["size"] == list(SIZE) for part in params["parts"])
        assert len({part["seed"] for part in params["parts"]}) == len(params["parts"])
