"""The order of a mixture: shares, every sample once in its set's epoch, equal steps, and exact resume in any world."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.shards.mixture import Mixture, Place
from restorekit.shards.plan import WINDOW_SAMPLES, EpochOrder, batch_at, begin_epoch, continue_with
from tests.shards.test_plan import read, worlds

NAMES = ("rain", "rain-100L", "haze")


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Mixture, list[list[int]]]:
    """Two or three sets of one to 60 samples, with shares from a 39th up, and the sizes of their shards."""
    num = draw(st.integers(2, 3))
    sizes = [draw(st.lists(st.integers(1, 10), min_size=1, max_size=6)) for _ in range(num)]
    weights = [draw(st.integers(1, 19)) for _ in range(num)]
    shares = {name: weight / sum(weights) for name, weight in zip(NAMES, weights, strict=False)}
    return Mixture(sizes, shares, seed=draw(st.integers(0, 3))), sizes


def epoch_of(mixture: Mixture, epoch: int) -> list[Place]:
    order = mixture.epoch(epoch)
    return [order.locate(position) for position in range(len(order))]


@given(drawn())
@settings(deadline=None)
def test_every_sample_of_a_set_comes_once_in_each_of_the_sets_epochs(made: tuple[Mixture, list[list[int]]]) -> None:
    mixture, all_sizes = made
    places = [place for epoch in range(3) for place in epoch_of(mixture, epoch)]
    for dataset, sizes in enumerate(all_sizes):
        whole = {(shard, index) for shard, count in enumerate(sizes) for index in range(count)}
        own = [place for place in places if place.dataset == dataset]
        assert len(own) == 3 * mixture.counts[dataset]
        epochs = [place.epoch for place in own]
        assert epochs == sorted(epochs)  # one epoch after the other, none left out
        assert set(epochs) == set(range(epochs[-1] + 1))
        for epoch in set(epochs):
            seen = Counter((place.shard, place.sample) for place in own if place.epoch == epoch)
            assert max(seen.values()) == 1
            assert set(seen) == whole or epoch == epochs[-1]


@given(drawn())
@settings(deadline=None)
def test_every_set_has_its_share_at_any_place_of_an_epoch(made: tuple[Mixture, list[list[int]]]) -> None:
    mixture, _ = made
    places = epoch_of(mixture, 1)
    for dataset, count in enumerate(mixture.counts):
        so_far = np.cumsum([place.dataset == dataset for place in places])
        due = np.arange(1, len(places) + 1) * count / len(places)
        assert np.abs(so_far - due).max() <= len(mixture.counts) - 1
        assert so_far[-1] == count


def test_an_epoch_takes_the_shares_to_the_nearest_sample() -> None:
    assert Mixture([[70], [500]], {"rain": 0.7, "rain-100L": 0.3}, 1).counts == (70, 30)
    assert Mixture([[50, 50], [4], [9]], {"rain": 0.5, "rain-100L": 0.3, "haze": 0.2}, 1).counts == (100, 60, 40)
    assert Mixture([[7], [500]], {"rain": 0.6, "rain-100L": 0.4}, 1).counts == (7, 5)
    assert Mixture([[7], [500]], {"rain": 0.99, "rain-100L": 0.01}, 1).counts == (7, 1)


@pytest.mark.parametrize("shares", [{"rain": 1.0}, {"rain": 0.7, "rain-100L": 0.3}, dict.fromkeys(NAMES, 1 / 3)])
def test_the_first_set_is_read_in_the_order_of_a_run_on_it_alone(shares: dict[str, float]) -> None:
    sizes = [[900, 800, 1500, 3], [40, 60], [700]]
    mixture = Mixture(sizes[: len(shares)], shares, seed=5)
    alone = EpochOrder(sizes[0], 5, 2)
    found = [place for place in epoch_of(mixture, 2) if place.dataset == 0]
    assert [(place.shard, place.sample) for place in found] == [alone.locate(n) for n in range(len(alone))]
    assert {(place.epoch, place.seed) for place in found} == {(2, 5)}


def test_windows_join_and_any_of_them_can_be_asked_for_first() -> None:
    mixture = Mixture([[5000, 4000], [300], [20, 30]], {"rain": 0.55, "rain-100L": 0.4, "haze": 0.05}, seed=2)
    assert mixture.num_samples > 3 * WINDOW_SAMPLES
    places = epoch_of(mixture, 1)
    for position in (len(places) - 1, 0, 2047, 2048, 2049, 5000, 4096):
        assert mixture.epoch(1).locate(position) == places[position]
    again = Mixture([[5000, 4000], [300], [20, 30]], {"rain": 0.55, "rain-100L": 0.4, "haze": 0.05}, seed=2)
    assert epoch_of(again, 1) == places
    for dataset, count in enumerate(mixture.counts):
        so_far = np.cumsum([place.dataset == dataset for place in places])
        due = np.arange(1, len(places) + 1) * count / len(places)
        assert np.abs(so_far - due).max() <= 2


def test_the_turns_change_with_the_epoch_and_the_seed_and_follow_no_period() -> None:
    def turns(epoch: int, seed: int) -> list[int]:
        mixture = Mixture([[400], [60]], {"rain": 0.5, "rain-100L": 0.5}, seed)
        return [place.dataset for place in epoch_of(mixture, epoch)]

    first = turns(0, 1)
    assert first == turns(0, 1)
    assert first != turns(1, 1)
    assert first != turns(0, 2)
    # With a strict period, ranks that read one sample each would all be at the same set at the same time.
    assert sum(a == b for a, b in pairwise(first)) > 100


def test_sets_of_the_same_photographs_are_not_in_step() -> None:
    mixture = Mixture([[30], [30]], {"rain": 0.5, "haze": 0.5}, seed=1)
    first, second = ([place for place in epoch_of(mixture, 0) if place.dataset == one] for one in (0, 1))
    assert first[0].seed != second[0].seed
    assert [place.sample for place in first] != [place.sample for place in second]


@given(drawn(), worlds, worlds, st.floats(0, 1))
@settings(deadline=None)
def test_another_world_goes_on_with_the_unread_rest_of_every_set(
    made: tuple[Mixture, list[list[int]]], before: tuple[int, int], after: tuple[int, int], share: float
) -> None:
    mixture, _ = made
    size = mixture.num_samples
    first = begin_epoch(1, size, before[1])
    stopped = replace(first, step=round(share * (first.num_steps - 1)))
    second = continue_with(stopped, size, after[1])
    positions = read(first, before[0], 0, stopped.step) + read(second, after[0], second.step, second.num_steps)
    order = mixture.epoch(1)
    assert Counter(order.locate(position) for position in positions) == Counter(epoch_of(mixture, 1))


@pytest.mark.parametrize("num_sets", [2, 3])
def test_at_every_step_any_world_takes_over_and_all_ranks_take_equal_steps(num_sets: int) -> None:
    """A world gives way to the next after every single step; each set's epochs stay whole."""
    shares = dict(zip(NAMES, ((0.7, 0.3), (0.5, 0.3, 0.2))[num_sets - 2], strict=False))
    sizes = [[9, 12], [5, 2], [11]][:num_sets]
    mixture = Mixture(sizes, shares, seed=4)
    others = [(1, 4), (2, 4), (3, 5), (2, 7)]
    cursor, ranks = begin_epoch(0, mixture.num_samples, 4), 1
    seen: list[Place] = []
    for number in range(200):
        order = mixture.epoch(cursor.epoch)
        batches = [batch_at(cursor, rank, ranks, cursor.step) for rank in range(ranks)]
        counts = [len(one.positions) if one.weight else 0 for one in batches]
        assert sum(counts) == cursor.count_of_all(cursor.step)
        assert max(counts) - min(counts) <= 1
        seen += [order.locate(position) for one in batches if one.weight for position in one.positions]
        ranks, size = others[(number + 1) % len(others)]
        cursor = continue_with(replace(cursor, step=cursor.step + 1), mixture.num_samples, size)
    for dataset, total in enumerate(sum(one) for one in sizes):
        of_set = [place for place in seen if place.dataset == dataset]
        epochs = Counter(place.epoch for place in of_set)
        assert len(set(of_set)) == len(of_set)  # none twice in an epoch of its set
        whole = len(seen) // mixture.num_samples * mixture.counts[dataset] // total
        assert whole > 1
        assert [epochs[epoch] for epoch in range(whole)] == [total] * whole


def test_an_order_of_a_billion_samples_is_opened_in_the_middle() -> None:
    sizes = [np.full(1000, 700_000), np.full(300, 1_000_000), [50]]
    mixture = Mixture(sizes, {"rain": 0.7, "rain-100L": 0.2999, "haze": 0.0001}, seed=1)
    assert mixture.num_samples > 10**9 * 0.99
    order = mixture.epoch(3)
    places = [order.locate(position) for position in range(700_000_000, 700_000_000 + 5000)]
    assert len(set(places)) == len(places)
    assert 3480 < sum(place.dataset == 0 for place in places) < 3520
    assert 1 in {place.dataset for place in places[:20]}
