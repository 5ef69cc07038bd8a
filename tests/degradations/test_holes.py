"""The share of holes lies in the severity's bucket, for every shape."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from restorekit.degradations import Scene
from restorekit.degradations.holes import BUCKETS, KINDS, Holes, bucket_of, hole_mask, target_share
from restorekit.errors import RestorekitError
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
@pytest.mark.parametrize("size", [(37, 31), (96, 96), (90, 300)])
def test_share_lies_in_the_bucket(kind: str, size: tuple[int, int]) -> None:
    for seed in range(4):
        for severity in np.linspace(0, 1, 13):
            params = Holes().sample(rng_for(seed, kind), size, float(severity), kind)
            low, high = bucket_of(severity)
            assert low <= hole_mask(size, params).mean() <= high, (seed, severity)


def test_severity_maps_evenly_to_the_buckets() -> None:
    assert [bucket_of((index + 0.5) / 6) for index in range(6)] == list(BUCKETS)
    assert bucket_of(0.0) == BUCKETS[0]
    assert bucket_of(1.0) == BUCKETS[-1]
    shares = [target_share(severity) for severity in np.linspace(0, 1, 101)]
    assert all(later > earlier for earlier, later in pairwise(shares))
    assert all(bucket_of(s)[0] < target_share(s) < bucket_of(s)[1] for s in np.linspace(0, 1, 101))


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_holes_only_grow_with_severity(kind: str) -> None:
    for seed in range(3):
        masks = [
            hole_mask((96, 128), Holes().sample(rng_for(seed, kind), (96, 128), severity, kind))
            for severity in (0.05, 0.3, 0.6, 0.95)
        ]
        assert all((later >= earlier).all() for earlier, later in pairwise(masks))


def test_holes_are_grey_and_the_rest_is_untouched(make_scene: MakeScene) -> None:
    scene = make_scene((96, 128))
    made = Holes().apply(scene, Holes().sample(rng_for(1), (96, 128), 0.5, "mixed"))
    hole = made.mask == 1
    assert (made.degraded[hole] == 0.5).all()
    np.testing.assert_array_equal(made.degraded[~hole], scene.image[~hole])
    assert made.noise_layer is None


def test_half_of_the_records_have_a_free_border_without_holes() -> None:
    free = []
    for seed in range(60):
        params = Holes().sample(rng_for(seed), (100, 120), 1.0, "strokes")
        free.append(params["free_border"] > 0)
        if free[-1]:
            mask = hole_mask((100, 120), params)
            assert not mask[:8].any()
            assert not mask[-8:].any()
            assert not mask[:, :8].any()
            assert not mask[:, -8:].any()
    assert 20 < sum(free) < 40


def test_a_users_mask_is_the_hole_and_its_share_is_in_the_record(make_scene: MakeScene) -> None:
    mask = np.zeros((100, 120), bool)
    mask[:34, :66] = True
    scene = replace(make_scene((100, 120)), holes=mask)
    seen = set()
    for seed in range(12):
        params = Holes().sample_given(rng_for(seed), mask)
        made = Holes().apply(scene, params)
        assert made.mask.mean() == pytest.approx(params["share"])
        assert params["bucket"] == [0.1, 0.2]
        assert params["bucket"] == list(bucket_of(params["severity"]))
        assert made.mask[:8].any() == (params["free_border"] == 0)
        seen.add(params["free_border"])
    assert len(seen) == 2
    with pytest.raises(RestorekitError, match="give `holes`"):
        Holes().apply(make_scene((100, 120)), params)
    assert Holes().sample_given(rng_for(0), np.ones((50, 50), bool) & False)["bucket"] is None


def test_borders_leave_one_window() -> None:
    for seed in range(10):
        mask = hole_mask((80, 110), Holes().sample(rng_for(seed), (80, 110), 0.7, "borders"))
        rows, cols = np.flatnonzero(~mask.all(axis=1)), np.flatnonzero(~mask.all(axis=0))
        assert not mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].any()
