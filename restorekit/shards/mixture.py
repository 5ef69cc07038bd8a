"""The order of an epoch of several data sets with shares: arithmetic on (shard sizes, shares, names, seed, epoch).

An epoch of a mixture is an epoch of its first set, in the order of a run on that set alone, with samples of the other
sets in between. Of each other set an epoch takes as many samples as the set's share is to the first set's, to the
nearest whole number and at least one. The set goes on in the next epoch where it stopped, and runs through its own
epochs: each of its samples comes once before any comes again.

The sets are interleaved evenly. For a set that gives n samples, the epoch has n equal slots with a sample in each, at
a random place in the slot. So at any place in an epoch, a set has given its share of the samples so far to within one
sample of two sets, and two of three. The places are drawn in windows, and no list grows with the number of samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from restorekit.rng import rng_for, seed_for
from restorekit.shards.plan import WINDOW_SAMPLES, EpochOrder
from restorekit.shards.reader import ShardReader, ShardSample
from restorekit.tasks import MEMBERS


class Place(NamedTuple):
    """A sample: its data set by number, its shard and number there, and the epoch and seed to augment it by."""

    dataset: int
    shard: int
    sample: int
    epoch: int  # the data set's own
    seed: int


class Turns(NamedTuple):
    """The positions `start` to `stop`: the data set of each, and the sample's number among the set's of the epoch."""

    start: int
    stop: int
    datasets: list[int]
    numbers: list[int]


class Mixture:
    """The orders of all epochs of data sets with shares."""

    def __init__(
        self, shard_samples: Sequence[Sequence[int]], shares: Mapping[str, float], seed: int, num_lanes: int = 1
    ) -> None:
        """`shares`: the names of the sets with their shares, the first set first; `shard_samples`: the sizes of shards.

        `num_lanes` is the number of places in an epoch that are read by turns. Seeds differ by name, so that sets of
        the same photographs do not show the same one at the same time.
        """
        self._sizes = [np.asarray(sizes, dtype=np.int64) for sizes in shard_samples]
        self._totals = [int(sizes.sum()) for sizes in self._sizes]
        self._seed = seed
        self._names = tuple(shares)
        first, *others = shares
        self._seeds = (seed, *(seed_for(seed, "data set", name) for name in others))
        self.counts = (
            self._totals[0], *(max(1, round(self._totals[0] * shares[name] / shares[first])) for name in others),
        )  # fmt: skip
        self._num_lanes = num_lanes
        self._order = lru_cache(maxsize=(1 + num_lanes) * len(self._sizes))(self._order_of)

    @property
    def num_samples(self) -> int:
        """The samples of an epoch; `counts` has those of each set."""
        return sum(self.counts)

    def epoch(self, epoch: int) -> "MixedOrder":
        """The order of one epoch of the mixture."""
        return MixedOrder(self, epoch, self._num_lanes)

    def window_at(self, position: int) -> int:
        """The number of the window that holds `position`."""
        # The window's slots of a set are those that end in it: a slot over the border counts for the later window.
        number = position * self._num_windows // self.num_samples
        while self._start(number + 1) <= position:
            number += 1
        return number

    def interleaved(self, epoch: int, number: int) -> Turns:
        """Window `number` of an epoch."""
        windows = self._num_windows
        datasets, numbers, places = [], [], []
        for dataset, count in enumerate(self.counts):
            own = np.arange(count * number // windows, count * (number + 1) // windows)
            drawn = rng_for(self._seed, "slots", epoch, number, self._names[dataset]).random(len(own))
            datasets.append(np.full(len(own), dataset))
            numbers.append(own)
            places.append((own * windows - count * number + drawn * windows) / count)
        order = np.argsort(np.concatenate(places), kind="stable")
        start = self._start(number)
        return Turns(
            start, start + len(order), np.concatenate(datasets)[order].tolist(), np.concatenate(numbers)[order].tolist()
        )

    def place(self, epoch: int, dataset: int, number: int) -> Place:
        """The sample that data set `dataset` gives as its number `number` in an epoch of the mixture."""
        own, position = divmod(epoch * self.counts[dataset] + number, self._totals[dataset])
        return Place(dataset, *self._order(dataset, own).locate(position), own, self._seeds[dataset])

    @property
    def _num_windows(self) -> int:
        return -(-self.num_samples // WINDOW_SAMPLES)

    def _start(self, window: int) -> int:
        return sum(count * window // self._num_windows for count in self.counts)

    def _order_of(self, dataset: int, epoch: int) -> EpochOrder:
        return EpochOrder(self._sizes[dataset], self._seeds[dataset], epoch, self._num_lanes)


class MixedOrder:
    """The order of one epoch of a mixture: position -> place."""

    def __init__(self, mixture: Mixture, epoch: int, num_lanes: int) -> None:
        self._mixture, self._epoch = mixture, epoch
        self._interleaved = lru_cache(maxsize=1 + num_lanes)(partial(mixture.interleaved, epoch))
        self._turns = Turns(0, 0, [], [])

    def __len__(self) -> int:
        return self._mixture.num_samples

    def locate(self, position: int) -> Place:
        """The place of the sample at `position`."""
        turns = self._turns
        if not turns.start <= position < turns.stop:
            turns = self._turns = self._interleaved(self._mixture.window_at(position))
        at = position - turns.start
        return self._mixture.place(self._epoch, turns.datasets[at], turns.numbers[at])


class MixedReader:
    """The samples of several folders of shards, in the orders of their mixture; one folder is read as it is."""

    def __init__(
        self, shares: Mapping[Path, float], seed: int, members: frozenset[str] = MEMBERS, num_lanes: int = 1
    ) -> None:
        """`shares`: the folders with their shares, the first set's first; `members` as for `ShardReader`.

        `num_lanes` is the number of places in an epoch that are read by turns.
        """
        self.readers = [ShardReader(folder, members, num_lanes) for folder in shares]
        self._names = [reader.manifest.dataset for reader in self.readers]
        assert len(set(self._names)) == len(self._names), f"one data set twice: {self._names}"
        sizes = [[shard.samples for shard in reader.manifest.shards] for reader in self.readers]
        self.mixture = Mixture(sizes, dict(zip(self._names, shares.values(), strict=True)), seed, num_lanes)

    @property
    def num_samples(self) -> int:
        """The samples of an epoch."""
        return self.mixture.num_samples

    def in_order(self, order: MixedOrder, positions: Sequence[int]) -> Iterator[tuple[Place, ShardSample]]:
        """The samples at `positions` of an epoch's order, each with its place."""
        for place in map(order.locate, positions):
            yield place, self.readers[place.dataset].sample(place.shard, place.sample)

    def name(self, place: Place, sample: ShardSample) -> str:
        """The sample's key, after its data set's name where there are several."""
        return sample.key if len(self.readers) == 1 else f"{self._names[place.dataset]}/{sample.key}"
