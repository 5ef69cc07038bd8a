"""The samples that each rank reads at each step: arithmetic on (manifest, epoch, world size, loader workers, seed).

An epoch is a sequence of positions 0..N-1, one for each sample. Shards come in a shuffled order, in blocks of
`BLOCK_SHARDS`. A block is read in windows of about `WINDOW_SAMPLES` at most; a window has a run of every shard of the
block, and its samples are shuffled. This mixes samples of eight shards, while one or two loader workers read each
shard in long runs, and no list grows with the number of samples.

Every loader worker of every rank reads one contiguous stream of the sequence, in proportion to the rank's part of a
batch. All ranks take the same number of steps, all batches but an epoch's last are full, and no sample is left out.
The unread rest is a list of ranges of positions, which any other number of ranks or loader workers can continue.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.rng import rng_for

BLOCK_SHARDS = 8  # shards that are mixed, and open together in a loader worker
WINDOW_SAMPLES = 2048  # samples shuffled together: 256 of each shard of a block, about 30 MB of 256-pixel pairs

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

    def __init__(self, shard_samples: Sequence[int] | np.ndarray, seed: int, epoch: int) -> None:
        self._seed, self._epoch = seed, epoch
        self._shards = rng_for(seed, "shards", epoch).permutation(len(shard_samples))
        self._lengths = np.asarray(shard_samples, dtype=np.int64)[self._shards]
        stops = np.cumsum(self._lengths)
        self._block_starts = np.concatenate([[0], stops[BLOCK_SHARDS - 1 : -1 : BLOCK_SHARDS]])
        self._size = int(stops[-1]) if len(stops) else 0
        self._runs = lru_cache(maxsize=2)(self._cut_block)
        self._window = Window(0, 0, [], [])

    def __len__(self) -> int:
        return self._size

    def locate(self, position: int) -> tuple[int, int]:
        """The shard (an index into the manifest) and the index in the shard of the sample at `position`."""
        window = self._window
        if not window.start <= position < window.stop:
            window = self._window = self._shuffled(position)
        return window.shards[position - window.start], window.indices[position - window.start]

    def _shuffled(self, position: int) -> Window:
        block = int(np.searchsorted(self._block_starts, position, side="right")) - 1
        starts, first, sizes = self._runs(block)
        number = int(np.searchsorted(starts, position, side="right")) - 1
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
    """The progress of a world of ranks in an epoch: `step` steps into `ranges`, which all ranks began together."""

    epoch: int
    ranges: Ranges
    num_ranks: int
    num_loaders: int  # loader workers of a rank, at least 1
    batch_size: int  # samples a step, over all ranks
    step: int = 0

    @property
    def num_steps(self) -> int:
        """Steps that every rank takes on `ranges`: one for each whole batch, and one for the rest."""
        return -(-self._size // self.batch_size)

    def stream(self, rank: int, loader: int) -> Ranges:
        """The positions that loader worker `loader` of `rank` reads, in order."""
        if (rank, loader) not in self._streams:
            start, stop = self._stream_start(rank, loader), self._stream_start(rank, loader + 1)
            self._streams[rank, loader] = slice_ranges(self.ranges, start, stop, self._ends)
        return self._streams[rank, loader]

    def remaining(self) -> Ranges:
        """The positions of the epoch that no rank has read yet."""
        left: list[tuple[int, int]] = []
        for rank in range(self.num_ranks):
            for loader in range(self.num_loaders):
                done = len(range(loader, self.step, self.num_loaders)) * self.share(rank)
                start, stop = self._stream_start(rank, loader), self._stream_start(rank, loader + 1)
                left.extend(slice_ranges(self.ranges, start + done, stop, self._ends))
        return merge_ranges(left)

    def share(self, rank: int) -> int:
        """Samples of a whole batch that `rank` reads; ranks differ by at most one."""
        return self._ranks_before(rank + 1) - self._ranks_before(rank)

    def count(self, rank: int, step: int) -> int:
        """Samples that `rank` reads at `step`."""
        loader, turn = step % self.num_loaders, step // self.num_loaders
        if turn < self._turns:
            return self.share(rank)
        return self._last_before(rank + 1, loader) - self._last_before(rank, loader) if turn == self._turns else 0

    def count_of_all(self, step: int) -> int:
        """Samples that all ranks together read at `step`."""
        return max(0, min(self.batch_size, self._size - step * self.batch_size))

    def _stream_start(self, rank: int, loader: int) -> int:
        whole = self._turns * (self.num_loaders * self._ranks_before(rank) + loader * self.share(rank))
        ends = (self._last_before(rank + (own < loader), own) for own in range(self.num_loaders))
        return whole + sum(ends)

    def _ranks_before(self, rank: int) -> int:
        """Samples of a whole batch that the ranks before `rank` read."""
        return self._before(rank, self.batch_size)

    def _last_before(self, rank: int, loader: int) -> int:
        """Samples of a loader's last batch, possibly a smaller one, that the ranks before `rank` read."""
        return self._before(rank, self.count_of_all(self._turns * self.num_loaders + loader))

    def _before(self, rank: int, samples: int) -> int:
        each, longer = divmod(samples, self.num_ranks)
        return rank * each + min(rank, longer)

    @property
    def _turns(self) -> int:
        """Full batches of every loader worker of every rank."""
        return self._size // (self.batch_size * self.num_loaders)

    @cached_property
    def _size(self) -> int:
        return size_of(self.ranges)

    @cached_property
    def _ends(self) -> list[int]:
        return ends_of(self.ranges)

    @cached_property
    def _streams(self) -> dict[tuple[int, int], Ranges]:
        return {}


def begin_epoch(epoch: int, num_samples: int, num_ranks: int, num_loaders: int, batch_size: int) -> Cursor:
    """The cursor at the start of an epoch; a RestorekitError with the sums where a loader would get no sample."""
    num_loaders = max(1, num_loaders)
    if batch_size < num_ranks:
        raise RestorekitError(
            f"batch_size {batch_size} for {num_ranks} workers: each needs a sample a step, so take at least {num_ranks}"
        )
    if num_samples < num_ranks * num_loaders:
        raise RestorekitError(
            f"{num_samples} samples for {num_ranks} workers x {num_loaders} loader workers; at least "
            f"{num_ranks * num_loaders} are needed: raise the data set's train.variants, or lower train.loader_workers"
        )
    return Cursor(epoch, ((0, num_samples),), num_ranks, num_loaders, batch_size)


def continue_with(cursor: Cursor, num_samples: int, num_ranks: int, num_loaders: int, batch_size: int) -> Cursor:
    """The cursor for a world of any number of ranks and loaders that continues where `cursor` stopped.

    The same world continues its streams; another one divides the unread rest. After a finished epoch the next begins.
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
    weight: float  # 0 for a rank without a sample in an epoch's last batch, which repeats one without effect


def batch_at(cursor: Cursor, rank: int, step: int) -> Batch:
    """The batch that `rank` reads at `step` of the cursor's ranges.

    The gradient of the whole batch is the ranks' mean of weight x gradient, as DistributedDataParallel averages.
    """
    stream, own = cursor.stream(rank, step % cursor.num_loaders), cursor.count(rank, step)
    if own == 0:
        return Batch((stream[-1][1] - 1,) if stream else (cursor.ranges[0][0],), 0.0)
    start = step // cursor.num_loaders * cursor.share(rank)
    taken = slice_ranges(stream, start, start + own)
    positions = tuple(position for low, high in taken for position in range(low, high))
    return Batch(positions, own * cursor.num_ranks / cursor.count_of_all(step))


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
