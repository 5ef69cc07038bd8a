"""The plan at a tenth of the internet's scale: 10^8 samples in 10^4 shards for a thousand ranks that come and go."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from restorekit.rng import rng_for
from restorekit.shards.plan import (
    BLOCK_SHARDS,
    WINDOW_SAMPLES,
    Cursor,
    EpochOrder,
    batch_at,
    begin_epoch,
    continue_with,
    merge_ranges,
    size_of,
)

NUM_SAMPLES, NUM_SHARDS = 10**8, 10**4
# Ranks and batch of successive worlds in one epoch: ranks are lost, then added, at last with a larger batch.
WORLDS = ((1024, 8192), (1023, 8192), (640, 8192), (1100, 8800))


def skewed(num_samples: int, num_shards: int) -> np.ndarray:
    """Sizes of shards; the largest shard has a hundred times as many samples as most."""
    shares = 1 + rng_for(1, "sizes").pareto(1.2, num_shards).clip(max=200)
    sizes = np.maximum(1, shares / shares.sum() * num_samples).astype(np.int64)
    sizes[0] += num_samples - sizes.sum()
    return sizes


@pytest.fixture(scope="module")
def order() -> EpochOrder:
    return EpochOrder(skewed(NUM_SAMPLES, NUM_SHARDS), seed=1, epoch=2)


def lanes(cursor: Cursor) -> list[tuple[int, int]]:
    return [piece for number in range(cursor.num_lanes) for piece in cursor.lane(number)]


def test_worlds_that_change_within_an_epoch_read_every_sample_once() -> None:
    cursor, read, stop = begin_epoch(2, NUM_SAMPLES, WORLDS[0][1]), 0, 0
    for number, (ranks, _) in enumerate(WORLDS):
        assert merge_ranges(lanes(cursor)) == merge_ranges(cursor.ranges)
        assert size_of(merge_ranges(lanes(cursor))) == size_of(cursor.ranges)  # no two lanes share a sample
        for step in (cursor.step, cursor.num_steps - 1):
            parts = [batch_at(cursor, rank, ranks, step) for rank in range(ranks)]
            positions = [position for part in parts if part.weight for position in part.positions]
            assert len(set(positions)) == len(positions) == cursor.count_of_all(step) > 0
        assert cursor.count_of_all(cursor.num_steps) == 0
        is_last = number == len(WORLDS) - 1
        begun, stop = cursor.step, cursor.num_steps if is_last else cursor.num_steps * (2 + number) // 5
        read += sum(cursor.count_of_all(step) for step in range(begun, stop))
        stopped = replace(cursor, step=stop)
        assert size_of(stopped.remaining()) == NUM_SAMPLES - read
        if not is_last:
            cursor = continue_with(stopped, NUM_SAMPLES, WORLDS[number + 1][1])
    assert read == NUM_SAMPLES  # no sample is left out


def test_a_rank_reads_few_lanes() -> None:
    """A rank of 8 samples a step reads one lane; of a thousand and one ranks, some have a part of a second lane."""
    cursor = begin_epoch(2, NUM_SAMPLES, 8192)
    assert {cursor.lanes_of(rank, 1024) for rank in range(1024)} == {1}
    assert {cursor.lanes_of(rank, 1001) for rank in range(1001)} == {1, 2}


def test_windows_mix_the_shards_of_a_block_and_hold_every_sample_once(order: EpochOrder) -> None:
    for number in range(3):
        first = int(rng_for(2, number).integers(len(order)))
        seen = [order.locate(position) for position in range(first, min(first + 60_000, len(order)))]
        assert len(set(seen)) == len(seen)
        window = seen[:WINDOW_SAMPLES]
        assert len({shard for shard, _ in window}) >= BLOCK_SHARDS
        # A shard is read in runs, here of two windows; the second may begin at the start of the shard.
        for shard in {shard for shard, _ in window}:
            indices = sorted(index for other, index in window if other == shard)
            assert sum(b - a > WINDOW_SAMPLES for a, b in pairwise(indices)) <= 2


def test_a_rank_needs_little_memory_for_its_plan() -> None:
    sizes = skewed(NUM_SAMPLES, NUM_SHARDS)
    tracemalloc.start()
    cursor = replace(begin_epoch(2, int(sizes.sum()), 8192), step=5000)
    mine = EpochOrder(sizes, seed=1, epoch=2, num_lanes=cursor.lanes_of(77, 1001))
    cursor = continue_with(cursor, len(mine), 8800)
    for step in range(8):
        for position in batch_at(cursor, 77, 1001, step).positions:
            mine.locate(position)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20
