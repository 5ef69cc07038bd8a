"""The samples of each step: arithmetic on (manifest, epoch, size of the whole batch, seed), which the ranks divide.

An epoch is a sequence of positions 0..N-1, one for each sample. Shards come in a shuffled order, in blocks of
`BLOCK_SHARDS`. A block is read in windows of about `WINDOW_SAMPLES` at most; a window has a run of every shard of the
block, and its samples are shuffled. This mixes samples of eight shards, while the processes of a node read each shard
in long runs, and no list grows with the number of samples.

The sequence is cut into lanes of equal length, one for each `LANE_SAMPLES` samples of a batch. A batch has the next
samples of every lane, the ranks take equal parts of it, and the loader workers of a rank take its batches in turn. So
the batches are the same in every world, and yet a rank reads one lane or two, and not all shards at once.

All ranks take the same number of steps, all batches but an epoch's last are full, and no sample is left out. The unread
rest is a list of ranges of positions, which batches of any other size can continue.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.rng import rng_for

BLOCK_SHARDS = 8  # shards that are mixed, and open together in a loader worker
WINDOW_SAMPLES = 2048  # samples shuffled together: 256 of each shard of a block, about 30 MB of 256-pixel pairs
LANE_SAMPLES = 16  # samples of a batch that one lane gives, so that batches below 32 have one lane

Ranges = tuple[tuple[int, int], ...]


class Runs(NamedTuple):
    """The windows of a block: the first position of each, and its run of every shard."""

    starts: np.ndarray  # (windows + 1,); the last is the block's end
    first: np.ndarray  # (windows, shards of the block): the first sample of each run in its shard
    sizes: np.ndarray  # (windows, shards of the block)


class Window(NamedTuple):
    """The samples at positions `start` to `stop`: the shard of each, and its index in the shard."""

    start: int
    stop: int
    shards: list[int]
    indices: list[int]


class EpochOrder:
    """The order of one epoch: position -> (shard, index in the shard)."""

    def __init__(self, shard_samples: Sequence[int] | np.ndarray, seed: int, epoch: int, num_lanes: int = 1) -> None:
        """`num_lanes`: the number of places in the order that are read by turns."""
        self._seed, self._epoch = seed, epoch
        self._shards = rng_for(seed, "shards", epoch).permutation(len(shard_samples))
        self._lengths = np.asarray(shard_samples, dtype=np.int64)[self._shards]
        stops = np.cumsum(self._lengths)
        self._block_starts = np.concatenate([[0], stops[BLOCK_SHARDS - 1 : -1 : BLOCK_SHARDS]])
        self._size = int(stops[-1]) if len(stops) else 0
        self._runs = lru_cache(maxsize=1 + num_lanes)(self._cut_block)
        self._shuffled = lru_cache(maxsize=1 + num_lanes)(self._shuffle)
        self._window = Window(0, 0, [], [])

    def __len__(self) -> int:
        return self._size

    def locate(self, position: int) -> tuple[int, int]:
        """The shard (an index into the manifest) and the index in the shard of the sample at `position`."""
        window = self._window
        if not window.start <= position < window.stop:
            window = self._window = self._shuffled(*self._window_at(position))
        return window.shards[position - window.start], window.indices[position - window.start]

    def _window_at(self, position: int) -> tuple[int, int]:
        """The block and, in the block, the number of the window that holds `position`."""
        block = int(np.searchsorted(self._block_starts, position, side="right")) - 1
        return block, int(np.searchsorted(self._runs(block).starts, position, side="right")) - 1

    def _shuffle(self, block: int, number: int) -> Window:
        starts, first, sizes = self._runs(block)
        shards = self._shards[block * BLOCK_SHARDS : (block + 1) * BLOCK_SHARDS].repeat(sizes[number])
        indices = np.concatenate([np.arange(a, a + n) for a, n in zip(first[number], sizes[number], strict=True)])
        # The first window is named by the block alone, so that a block of one window has the block's draw.
        names = (block, number) if number else (block,)
        order = rng_for(self._seed, "samples", self._epoch, *names).permutation(len(shards))
        return Window(int(starts[number]), int(starts[number + 1]), shards[order].tolist(), indices[order].tolist())

    def _cut_block(self, block: int) -> Runs:
        """The windows of a block: each shard has one run for every window, and starts at its own run."""
        lengths = self._lengths[block * BLOCK_SHARDS : (block + 1) * BLOCK_SHARDS]
        windows = -(-int(lengths.sum()) // WINDOW_SAMPLES)
        bounds = np.arange(windows + 1)[:, None] * lengths // windows
        turns = rng_for(self._seed, "turns", self._epoch, block).integers(windows, size=len(lengths))
        run = (np.arange(windows)[:, None] + turns) % windows
        first = np.take_along_axis(bounds, run, axis=0)
        sizes = np.take_along_axis(bounds, run + 1, axis=0) - first
        starts = self._block_starts[block] + np.concatenate([[0], sizes.sum(axis=1).cumsum()])
        return Runs(starts, first, sizes)


@dataclass(frozen=True)
class Cursor:
    """The progress of a training in an epoch, in any world of ranks and loader workers: `step` steps into `ranges`."""

    epoch: int
    ranges: Ranges
    batch_size: int  # samples a step, over all ranks
    step: int = 0

    @property
    def num_steps(self) -> int:
        """Steps that every rank takes on `ranges`: one for each whole batch, and one for the rest."""
        return -(-self._size // self.batch_size)

    @property
    def num_lanes(self) -> int:
        return max(1, self.batch_size // LANE_SAMPLES)

    def lane(self, number: int) -> Ranges:
        """The positions of a lane, in order."""
        if number not in self._lanes:
            start, stop = self._lane_start(number), self._lane_start(number + 1)
            self._lanes[number] = slice_ranges(self.ranges, start, stop, self._ends)
        return self._lanes[number]

    def remaining(self) -> Ranges:
        """The positions of the epoch that no rank has read yet."""
        left: list[tuple[int, int]] = []
        for lane in range(self.num_lanes):
            start = self._lane_start(lane) + min(self.step, self._whole) * self._share(lane)
            stop = self._lane_start(lane + 1) if self.step < self.num_steps else start
            left.extend(slice_ranges(self.ranges, start, stop, self._ends))
        return merge_ranges(left)

    def count_of_all(self, step: int) -> int:
        """Samples that all ranks together read at `step`."""
        return max(0, min(self.batch_size, self._size - step * self.batch_size))

    def positions(self, step: int, start: int, stop: int) -> tuple[int, ...]:
        """Numbers `start` to `stop` of the batch of `step`, which has the samples of one lane after the other's."""
        count = self.count_of_all(step)
        found: list[int] = []
        while start < min(stop, count):
            lane = part_of(count, start, self.num_lanes)
            before, after = (share_before(count, one, self.num_lanes) for one in (lane, lane + 1))
            offset = step * self._share(lane) - before
            taken = slice_ranges(self.lane(lane), offset + start, offset + min(stop, after))
            found.extend(position for first, last in taken for position in range(first, last))
            start = after
        return tuple(found)

    def lanes_of(self, rank: int, num_ranks: int) -> int:
        """The number of lanes that `rank` reads a part of."""
        ends = share_before(self.batch_size, rank, num_ranks), share_before(self.batch_size, rank + 1, num_ranks) - 1
        first, last = (part_of(self.batch_size, one, self.num_lanes) for one in ends)
        return max(1, 1 + last - first)

    def _share(self, lane: int) -> int:
        """Samples of a whole batch that a lane gives."""
        before, after = (share_before(self.batch_size, one, self.num_lanes) for one in (lane, lane + 1))
        return after - before

    def _lane_start(self, lane: int) -> int:
        whole, rest = (
            share_before(one, lane, self.num_lanes) for one in (self.batch_size, self._size % self.batch_size)
        )
        return self._whole * whole + rest

    @property
    def _whole(self) -> int:
        """Whole batches."""
        return self._size // self.batch_size

    @cached_property
    def _size(self) -> int:
        return size_of(self.ranges)

    @cached_property
    def _ends(self) -> list[int]:
        return ends_of(self.ranges)

    @cached_property
    def _lanes(self) -> dict[int, Ranges]:
        return {}


def share_before(count: int, number: int, parts: int) -> int:
    """The elements before part `number` of `count` elements in `parts` parts, which differ by at most one."""
    each, longer = divmod(count, parts)
    return number * each + min(number, longer)


def part_of(count: int, element: int, parts: int) -> int:
    """The part that holds `element` of `count` elements in `parts` parts, as `share_before` divides them."""
    each, longer = divmod(count, parts)
    in_longer = longer * (each + 1)
    return element // (each + 1) if element < in_longer else longer + (element - in_longer) // each


def begin_epoch(epoch: int, num_samples: int, batch_size: int) -> Cursor:
    """The cursor at the start of an epoch."""
    return Cursor(epoch, ((0, num_samples),), batch_size)


def check_world(num_samples: int, num_ranks: int, batch_size: int) -> None:
    """Raises RestorekitError with the arithmetic where a rank would have no sample in a step or in an epoch."""
    if batch_size < num_ranks:
        raise RestorekitError(
            f"batch_size {batch_size} for {num_ranks} workers: each needs a sample a step, so take at least "
            f"{num_ranks}, or set batch_per_worker in place of batch_size"
        )
    if num_samples < num_ranks:
        raise RestorekitError(
            f"{num_samples} samples for {num_ranks} workers; at least {num_ranks} are needed: raise the data set's "
            f"train.variants, or lower train.num_workers"
        )


def continue_with(cursor: Cursor, num_samples: int, batch_size: int) -> Cursor:
    """The cursor that goes on where `cursor` stopped; another size of batch divides the unread rest.

    After a finished epoch the next begins.
    """
    if cursor.step >= cursor.num_steps:
        return begin_epoch(cursor.epoch + 1, num_samples, batch_size)
    return cursor if batch_size == cursor.batch_size else Cursor(cursor.epoch, cursor.remaining(), batch_size)


@dataclass(frozen=True)
class Batch:
    """The positions of one rank's batch, and the weight of its mean loss in the mean over all ranks' samples."""

    positions: tuple[int, ...]
    weight: float  # 0 for a rank without a sample in an epoch's last batch, which repeats one without effect


def batch_at(cursor: Cursor, rank: int, num_ranks: int, step: int) -> Batch:
    """The part of `rank`, one of `num_ranks`, of the batch at `step` of the cursor's ranges.

    The gradient of the whole batch is the ranks' mean of weight x gradient, as DistributedDataParallel averages.
    """
    count = cursor.count_of_all(step)
    start, stop = (share_before(count, one, num_ranks) for one in (rank, rank + 1))
    if start == stop:
        return Batch(cursor.positions(step, 0, 1) or (cursor.ranges[0][0],), 0.0)
    return Batch(cursor.positions(step, start, stop), (stop - start) * num_ranks / count)


def size_of(ranges: Ranges) -> int:
    return sum(stop - start for start, stop in ranges)


def ends_of(ranges: Ranges) -> list[int]:
    """The end of each range, counted in elements of all ranges."""
    return list(accumulate(stop - start for start, stop in ranges))


def slice_ranges(ranges: Ranges, start: int, stop: int, ends: list[int] | None = None) -> Ranges:
    """Elements number `start` to `stop` of the concatenated ranges; `ends` is `ends_of(ranges)`, if known."""
    ends = ends_of(ranges) if ends is None else ends
    taken = []
    for number in range(bisect_right(ends, start), len(ranges)):
        low, high = ranges[number]
        offset = ends[number] - (high - low)
        if offset >= stop:
            break
        taken.append((low + max(start - offset, 0), low + min(stop - offset, high - low)))
    return tuple(piece for piece in taken if piece[0] < piece[1])


def merge_ranges(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """The ranges in order, joined where they touch."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)
