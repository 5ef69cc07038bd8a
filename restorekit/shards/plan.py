"""Which samples each rank reads at each step: arithmetic on (manifest, epoch, world size, loader workers, seed).

An epoch is a sequence of positions 0..N-1, each one a sample: shards in a shuffled order, taken in blocks of
`BLOCK_SHARDS`, and the samples of a block shuffled among themselves. The sequence is cut into one stream for each
loader worker of each rank; streams are contiguous, so that a shard is read by one or two of them, and differ in length
by one sample at most. Every rank takes the same number of steps. What is unread is a list of ranges of positions,
from which any other number of ranks or loader workers can go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.rng import rng_for

BLOCK_SHARDS = 8  # shuffled together, and held in memory together by a loader worker

Ranges = tuple[tuple[int, int], ...]


class EpochOrder:
    """The order of one epoch: position -> (shard, index within the shard)."""

    def __init__(self, shard_samples: Sequence[int], seed: int, epoch: int) -> None:
        self._seed, self._epoch = seed, epoch
        self._shards = rng_for(seed, "shards", epoch).permutation(len(shard_samples))
        lengths = np.asarray(shard_samples, dtype=np.int64)[self._shards]
        self._shard_stops = np.cumsum(lengths)
        self._block_starts = np.concatenate([[0], self._shard_stops[BLOCK_SHARDS - 1 : -1 : BLOCK_SHARDS]])
        self._permutation = lru_cache(maxsize=2)(self._permute_block)

    def __len__(self) -> int:
        return int(self._shard_stops[-1]) if len(self._shard_stops) else 0

    def block(self, position: int) -> int:
        """The block that holds `position`."""
        return int(np.searchsorted(self._block_starts, position, side="right")) - 1

    def block_shards(self, block: int) -> list[int]:
        """The shards of a block, as indices into the manifest."""
        first = block * BLOCK_SHARDS
        return [int(shard) for shard in self._shards[first : first + BLOCK_SHARDS]]

    def locate(self, position: int) -> tuple[int, int]:
        """The shard (an index into the manifest) and the sample within it that stand at `position`."""
        block = self.block(position)
        start = int(self._block_starts[block])
        shuffled = start + int(self._permutation(block)[position - start])
        slot = int(np.searchsorted(self._shard_stops, shuffled, side="right"))
        shard_start = int(self._shard_stops[slot - 1]) if slot else 0
        return int(self._shards[slot]), shuffled - shard_start

    def _permute_block(self, block: int) -> np.ndarray:
        last = block + 1 == len(self._block_starts)
        stop = len(self) if last else int(self._block_starts[block + 1])
        length = stop - int(self._block_starts[block])
        return rng_for(self._seed, "samples", self._epoch, block).permutation(length)


@dataclass(frozen=True)
class Cursor:
    """How far a world of ranks has come in an epoch: `step` steps into `ranges`, which it began on together."""

    epoch: int
    ranges: Ranges
    num_ranks: int
    num_loaders: int  # loader workers of a rank, at least 1
    batch_size: int  # samples a step, over all ranks
    step: int = 0

    @property
    def num_steps(self) -> int:
        """Steps that every rank takes on `ranges`; in each of them at least one rank has a sample."""
        base, longer = divmod(size_of(self.ranges), self.num_streams)
        full_turns, rest = divmod(base, self.rank_batch)
        last_turn = self.num_loaders if rest else min(longer, self.num_loaders)
        return full_turns * self.num_loaders + last_turn

    @property
    def num_streams(self) -> int:
        return self.num_ranks * self.num_loaders

    @property
    def rank_batch(self) -> int:
        """Samples a step for one rank."""
        return self.batch_size // self.num_ranks

    def stream(self, rank: int, loader: int) -> Ranges:
        """The positions that loader worker `loader` of `rank` reads, in order."""
        return part_of(self.ranges, rank * self.num_loaders + loader, self.num_streams)

    def remaining(self) -> Ranges:
        """The positions of the epoch that no rank has read."""
        left: list[tuple[int, int]] = []
        for index in range(self.num_streams):
            stream = part_of(self.ranges, index, self.num_streams)
            loader = index % self.num_loaders
            steps = len(range(loader, self.step, self.num_loaders))
            left.extend(slice_ranges(stream, steps * self.rank_batch, size_of(stream)))
        return merge_ranges(left)


def begin_epoch(epoch: int, num_samples: int, num_ranks: int, num_loaders: int, batch_size: int) -> Cursor:
    """The cursor at the start of an epoch; raises with the arithmetic where the data does not feed every loader."""
    num_loaders = max(1, num_loaders)
    if batch_size % num_ranks:
        raise RestorekitError(
            f"batch_size {batch_size} does not divide among {num_ranks} workers: take a multiple of {num_ranks}"
        )
    if num_samples < num_ranks * num_loaders:
        raise RestorekitError(
            f"{num_samples} samples for {num_ranks} workers x {num_loaders} loader workers; at least "
            f"{num_ranks * num_loaders} are needed: raise the data set's train.variants, or lower train.loader_workers"
        )
    return Cursor(epoch, ((0, num_samples),), num_ranks, num_loaders, batch_size)


def continue_with(cursor: Cursor, num_samples: int, num_ranks: int, num_loaders: int, batch_size: int) -> Cursor:
    """The cursor for a world that goes on where `cursor` stopped, whatever its number of ranks and loaders.

    The same world continues its own streams; another one shares out what is unread. A finished epoch begins the next.
    """
    fresh = begin_epoch(cursor.epoch, num_samples, num_ranks, num_loaders, batch_size)
    same = (fresh.num_ranks, fresh.num_loaders, fresh.batch_size) == (
        cursor.num_ranks, cursor.num_loaders, cursor.batch_size,
    )  # fmt: skip
    if cursor.step >= cursor.num_steps:
        return replace(fresh, epoch=cursor.epoch + 1)
    return cursor if same else replace(fresh, ranges=cursor.remaining())


@dataclass(frozen=True)
class Batch:
    """The positions of one rank's batch, and the weight of its mean loss in the mean over all ranks' samples."""

    positions: tuple[int, ...]
    weight: float  # 0 for a rank that has run out one sample before the others; it repeats one without effect


def batch_at(cursor: Cursor, rank: int, step: int) -> Batch:
    """What `rank` reads at `step` of the cursor's ranges.

    The gradient of the whole batch is the ranks' mean of weight x gradient, as averaged by DistributedDataParallel.
    """
    loader, turn = step % cursor.num_loaders, step // cursor.num_loaders
    total, streams = size_of(cursor.ranges), cursor.num_streams
    start = turn * cursor.rank_batch

    def count(of_rank: int) -> int:
        index = of_rank * cursor.num_loaders + loader
        length = total // streams + (index < total % streams)
        return max(0, min(cursor.rank_batch, length - start))

    stream, own = cursor.stream(rank, loader), count(rank)
    everyone = sum(count(other) for other in range(cursor.num_ranks))
    if own == 0:
        return Batch((stream[-1][1] - 1,) if stream else (cursor.ranges[0][0],), 0.0)
    taken = slice_ranges(stream, start, start + own)
    return Batch(tuple(p for low, high in taken for p in range(low, high)), own * cursor.num_ranks / everyone)


def size_of(ranges: Ranges) -> int:
    return sum(stop - start for start, stop in ranges)


def slice_ranges(ranges: Ranges, start: int, stop: int) -> Ranges:
    """The elements number `start` to `stop` of the concatenated ranges."""
    taken, offset = [], 0
    for low, high in ranges:
        first, last = max(start - offset, 0), min(stop - offset, high - low)
        if first < last:
            taken.append((low + first, low + last))
        offset += high - low
    return tuple(taken)


def part_of(ranges: Ranges, part: int, parts: int) -> Ranges:
    """One of `parts` contiguous parts of the concatenated ranges; the first ones are longer by one where it must be."""
    base, longer = divmod(size_of(ranges), parts)
    start = part * base + min(part, longer)
    return slice_ranges(ranges, start, start + base + (part < longer))


def merge_ranges(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Joins ranges that touch."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)
