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
# Ranks, loader workers and batch of successive worlds in one epoch: ranks are lost, then added.
WORLDS = ((1024, 8, 8192), (1023, 8, 8192), (640, 4, 8192), (1100, 8, 8800))


def skewed(num_samples: int, num_shards: int) -> np.ndarray:
    """Sizes of shards; the largest shard has a hundred times as many samples as most."""
    shares = 1 + rng_for(1, "sizes").pareto(1.2, num_shards).clip(max=200)
    sizes = np.maximum(1, shares / shares.sum() * num_samples).astype(np.int64)
    sizes[0] += num_samples - sizes.sum()
    return sizes


@pytest.fixture(scope="module")
def order() -> EpochOrder:
    return EpochOrder(skewed(NUM_SAMPLES, NUM_SHARDS), seed=1, epoch=2)


def streams(cursor: Cursor) -> list[tuple[int, int]]:
    return [
        piece
        for rank in range(cursor.num_ranks)
        for loader in range(cursor.num_loaders)
        for piece in cursor.stream(rank, loader)
    ]


def test_worlds_that_change_within_an_epoch_read_every_sample_once() -> None:
    cursor, done = begin_epoch(2, NUM_SAMPLES, *WORLDS[0]), 0
    for world in (*WORLDS[1:], None):
        assert merge_ranges(streams(cursor)) == merge_ranges(cursor.ranges)
        assert size_of(merge_ranges(streams(cursor))) == size_of(cursor.ranges)  # no two streams share a sample
        last = cursor.num_steps - 1
        assert cursor.count_of_all(last) == sum(cursor.count(rank, last) for rank in range(cursor.num_ranks)) > 0
        assert not any(cursor.count(rank, last + 1) for rank in range(cursor.num_ranks))
        stopped = replace(cursor, step=cursor.num_steps if world is None else cursor.num_steps * 2 // 5)
        done += size_of(cursor.ranges) - size_of(stopped.remaining())
        assert size_of(stopped.remaining()) == NUM_SAMPLES - done
        if world is not None:
            cursor = continue_with(stopped, NUM_SAMPLES, *world)
    assert done == NUM_SAMPLES  # no sample is left out


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
    mine = EpochOrder(sizes, seed=1, epoch=2)
    stopped = replace(begin_epoch(2, len(mine), *WORLDS[0]), step=5000)
    cursor = continue_with(stopped, len(mine), *WORLDS[1])
    for step in range(cursor.num_loaders):
        for position in batch_at(cursor, 77, step).positions:
            mine.locate(position)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20
