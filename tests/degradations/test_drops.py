"""Drops are discs with a lens of their own, run into one another where they touch, and leave trails where they run."""

import numpy as np
import pytest

from restorekit.degradations.drops import Drops, cover, scatter
from restorekit.degradations.raindrop import Raindrop
from restorekit.rng import rng_for

SIZE = (240, 320)


def test_drops_that_touch_become_one_without_a_crease() -> None:
    """Two drops at 1.6 radii: the water between them is as opaque as theirs, and wider than two circles would be."""
    none = np.zeros((2, 5), np.float32)
    two = Drops(*(np.array(one, np.float32) for one in ([40, 72], [50, 50], [20, 20])), none)
    water = cover(two, (100, 112))
    alpha = np.zeros(100 * 112)
    alpha[water.where] = water.alpha
    alpha = alpha.reshape(100, 112)
    assert alpha[50, 22:90].min() == 1
    assert alpha[:, 56].sum() > 2 * np.sqrt(20**2 - 16**2) + 2
    far = np.zeros(100 * 112)
    far[water.where] = water.far
    assert far.reshape(100, 112)[50, 56] < 0.9


def test_a_lone_drop_is_a_disc_and_its_lens_is_centred() -> None:
    water = cover(
        Drops(*(np.array([one], np.float32) for one in (40, 50, 20)), np.zeros((1, 5), np.float32)), (100, 90)
    )
    assert water.alpha.sum() == pytest.approx(np.pi * 20**2, rel=0.01)
    np.testing.assert_allclose(np.hypot(water.right, water.down), water.far, atol=1e-3)
    np.testing.assert_allclose(water.x, 40, atol=1e-3)
    np.testing.assert_allclose(water.y, 50, atol=1e-3)


def test_trails_run_down_and_more_of_them_move_none() -> None:
    trails = {**Raindrop().sample(rng_for(7), SIZE, 0.5, "running")["trails"], "drift": 0.0, "length": 0.5}
    params = {**Raindrop().sample(rng_for(7), SIZE, 0.5, "running"), "density": 1e-9, "part": None}
    few, many = (scatter({**params, "trails": {**trails, "density": number}}, SIZE, 240.0) for number in (3, 6))
    assert set(zip(few.x.tolist(), few.y.tolist(), strict=True)) < set(
        zip(many.x.tolist(), many.y.tolist(), strict=True)
    )
    for column in np.unique(few.x[1:].round(3)):
        down = few.y[np.isclose(few.x, column, atol=0.01)]
        assert 0.1 * 240 < np.ptp(down) < 1.7 * 0.5 * 240
