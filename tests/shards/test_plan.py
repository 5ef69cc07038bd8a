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
    continue_with,
    merge_ranges,
    size_of,
    slice_ranges,
)

worlds = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 9)).map(
    lambda world: (world[0], world[1], world[0] + world[2])  # ranks, loaders, batch size with any remainder
)


def read(cursor: Cursor, first: int, stop: int) -> list[int]:
    """The positions that all ranks together read in a span of steps."""
    batches = [batch_at(cursor, rank, step) for step in range(first, stop) for rank in range(cursor.num_ranks)]
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


@given(st.integers(1, 200), worlds)
@example(178, (5, 1, 12))  # ten samples in the last batch
@settings(deadline=None)
def test_every_rank_takes_the_same_steps_and_every_sample_is_read_once(
    num_samples: int, world: tuple[int, int, int]
) -> None:
    ranks, loaders, batch = world
    if num_samples < ranks * loaders:
        with pytest.raises(RestorekitError, match="at least"):
            begin_epoch(0, num_samples, ranks, loaders, batch)
        return
    cursor = begin_epoch(0, num_samples, ranks, loaders, batch)
    assert Counter(read(cursor, 0, cursor.num_steps)) == Counter(range(num_samples))
    for step in range(cursor.num_steps):
        batches = [batch_at(cursor, rank, step) for rank in range(ranks)]
        sizes = [len(one.positions) if one.weight else 0 for one in batches]
        assert sum(one.weight for one in batches) == pytest.approx(ranks)  # mean over ranks = mean over samples
        assert sum(sizes) == min(batch, num_samples - step * batch)  # all batches but the last are full
        assert max(sizes) - min(sizes) <= 1


@given(st.integers(20, 200), worlds, worlds, st.floats(0, 1))
@settings(deadline=None)
def test_another_world_reads_the_rest_and_no_sample_twice(
    num_samples: int, before: tuple[int, int, int], after: tuple[int, int, int], share: float
) -> None:
    first = begin_epoch(0, num_samples, *before)
    stopped = replace(first, step=round(share * (first.num_steps - 1)))
    second = continue_with(stopped, num_samples, *after)
    assert second.epoch == 0
    done, rest = read(first, 0, stopped.step), read(second, second.step, second.num_steps)
    assert Counter(done + rest) == Counter(range(num_samples))
    assert size_of(second.remaining()) == num_samples - len(done)


def test_the_same_world_continues_its_own_streams() -> None:
    cursor = replace(begin_epoch(2, 97, 2, 2, 8), step=5)
    assert continue_with(cursor, 97, 2, 2, 8) == cursor


def test_a_finished_epoch_is_followed_by_the_next() -> None:
    cursor = begin_epoch(0, 12, 1, 0, 4)
    finished = replace(cursor, step=cursor.num_steps)
    assert finished.remaining() == ()
    assert continue_with(finished, 12, 1, 0, 4) == begin_epoch(1, 12, 1, 0, 4)
    assert continue_with(finished, 12, 2, 0, 4) == begin_epoch(1, 12, 2, 0, 4)


def test_a_batch_smaller_than_the_world_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(RestorekitError, match="batch_size 4 for 5 workers"):
        begin_epoch(0, 100, 5, 0, 4)


def test_ranges_are_merged_and_sliced() -> None:
    ranges = ((0, 3), (10, 14))
    assert size_of(ranges) == 7
    assert slice_ranges(ranges, 2, 5) == ((2, 3), (10, 12))
    assert slice_ranges(ranges, 3, 3) == slice_ranges(ranges, 7, 9) == ()
    assert merge_ranges([(3, 5), (0, 3), (7, 8)]) == ((0, 5), (7, 8))
