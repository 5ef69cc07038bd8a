"""The reading plan: every sample once an epoch, equal steps for all ranks, and a cursor computed by arithmetic."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restorekit.errors import RestorekitError
from restorekit.shards.plan import (
    Cursor,
    EpochOrder,
    batch_at,
    begin_epoch,
    check_world,
    continue_with,
    merge_ranges,
    size_of,
    slice_ranges,
)

worlds = st.tuples(st.integers(1, 5), st.integers(0, 70)).map(lambda world: (world[0], world[0] + world[1]))  # batch


def read(cursor: Cursor, num_ranks: int, first: int, stop: int) -> list[int]:
    """The positions that all ranks together read in a span of steps."""
    batches = [batch_at(cursor, rank, num_ranks, step) for step in range(first, stop) for rank in range(num_ranks)]
    return [position for batch in batches if batch.weight for position in batch.positions]


def whole(shards: list[int], epoch: int = 0, seed: int = 3) -> list[tuple[int, int]]:
    order = EpochOrder(shards, seed, epoch)
    return [order.locate(position) for position in range(len(order))]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30), st.integers(0, 3))
@settings(deadline=None)
def test_an_epoch_holds_every_sample_once(shards: list[int], epoch: int) -> None:
    expected = {(shard, index) for shard, count in enumerate(shards) for index in range(count)}
    located = whole(shards, epoch)
    assert set(located) == expected
    assert len(located) == len(expected)


def test_a_block_of_several_windows_holds_every_sample_once() -> None:
    shards = [3000, 1, 5000, 7, 900, 2048, 0, 4100, 60, 700]
    located = whole(shards)
    assert sorted(located) == [(shard, index) for shard, count in enumerate(shards) for index in range(count)]
    assert located[:50] != sorted(located[:50])


def test_the_order_changes_with_the_epoch_and_the_seed_and_mixes_shards() -> None:
    shards = [10] * 4
    first = whole(shards)
    assert first == whole(shards)
    assert first != whole(shards, epoch=1)
    assert first != whole(shards, seed=4)
    assert len({shard for shard, _ in first[:10]}) > 1  # the first ten samples come from several shards


@given(st.integers(1, 400), worlds)
@example(178, (5, 12))  # ten samples in the last batch
@example(170, (5, 64))  # four lanes
@settings(deadline=None)
def test_every_rank_takes_the_same_steps_and_every_sample_is_read_once(
    num_samples: int, world: tuple[int, int]
) -> None:
    ranks, batch = world
    if num_samples < ranks:
        with pytest.raises(RestorekitError, match="at least"):
            check_world(num_samples, ranks, batch)
        return
    check_world(num_samples, ranks, batch)
    cursor = begin_epoch(0, num_samples, batch)
    assert Counter(read(cursor, ranks, 0, cursor.num_steps)) == Counter(range(num_samples))
    for step in range(cursor.num_steps):
        batches = [batch_at(cursor, rank, ranks, step) for rank in range(ranks)]
        sizes = [len(one.positions) if one.weight else 0 for one in batches]
        assert all(one.positions for one in batches)  # a rank without a sample repeats one
        assert sum(one.weight for one in batches) == pytest.approx(ranks)  # mean over ranks = mean over samples
        assert sum(sizes) == min(batch, num_samples - step * batch)  # all batches but the last are full
        assert max(sizes) - min(sizes) <= 1


@given(st.integers(64, 400), st.integers(5, 64), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.floats(0, 1))
@settings(deadline=None)
def test_a_batch_is_the_same_in_every_world_and_of_every_past(
    num_samples: int, batch: int, worlds_before: list[int], share: float
) -> None:
    alone = begin_epoch(0, num_samples, batch)
    cursor, seen = alone, []
    for number, ranks in enumerate([*worlds_before, 2]):
        stop = round(share ** (len(worlds_before) - number) * alone.num_steps)
        seen += read(cursor, ranks, cursor.step, stop)
        cursor = continue_with(replace(cursor, step=max(cursor.step, stop)), num_samples, batch)
        if cursor.epoch:
            break
    assert seen == read(alone, 1, 0, alone.num_steps)  # in the order of the ranks


@pytest.mark.parametrize("batch", [1, 4, 15, 31])
def test_small_batches_have_the_positions_in_order(batch: int) -> None:
    cursor = begin_epoch(0, 100, batch)
    assert read(cursor, 1, 0, cursor.num_steps) == list(range(100))


def test_a_large_batch_has_the_next_samples_of_every_lane() -> None:
    cursor = begin_epoch(0, 1000, 32)
    assert [cursor.lane(number) for number in range(2)] == [((0, 500),), ((500, 1000),)]
    assert cursor.positions(3, 0, 32) == (*range(48, 64), *range(548, 564))
    assert cursor.positions(31, 0, 8) == (*range(496, 500), *range(996, 1000))  # the rest
    assert [cursor.lanes_of(rank, 4) for rank in range(4)] == [1] * 4
    assert [cursor.lanes_of(rank, 3) for rank in range(3)] == [1, 2, 1]


@given(st.integers(20, 400), st.integers(1, 70), st.integers(1, 70), st.floats(0, 1))
@settings(deadline=None)
def test_batches_of_another_size_read_the_rest_and_no_sample_twice(
    num_samples: int, before: int, after: int, share: float
) -> None:
    first = begin_epoch(0, num_samples, before)
    stopped = replace(first, step=round(share * (first.num_steps - 1)))
    second = continue_with(stopped, num_samples, after)
    assert second.epoch == 0
    done, rest = read(first, 1, 0, stopped.step), read(second, 1, second.step, second.num_steps)
    assert Counter(done + rest) == Counter(range(num_samples))
    assert size_of(second.remaining()) == num_samples - len(done)


def test_a_finished_epoch_is_followed_by_the_next() -> None:
    cursor = begin_epoch(0, 12, 4)
    finished = replace(cursor, step=cursor.num_steps)
    assert finished.remaining() == ()
    assert continue_with(finished, 12, 4) == begin_epoch(1, 12, 4)


def test_a_batch_smaller_than_the_world_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(RestorekitError, match=r"batch_size 4 for 5 workers.*batch_per_worker"):
        check_world(100, 5, 4)


def test_ranges_are_merged_and_sliced() -> None:
    ranges = ((0, 3), (10, 14))
    assert size_of(ranges) == 7
    assert slice_ranges(ranges, 2, 5) == ((2, 3), (10, 12))
    assert slice_ranges(ranges, 3, 3) == slice_ranges(ranges, 7, 9) == ()
    assert merge_ranges([(3, 5), (0, 3), (7, 8)]) == ((0, 5), (7, 8))
