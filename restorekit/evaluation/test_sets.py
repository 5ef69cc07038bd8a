"""The test sets of a run: the synthetic test of each of its data sets, then the real sets of their tasks.

Sets with clean images are scored; sets without give pictures only. Pairs that choose the best state of a training
(restorekit/sources/choosing.py) are in no set.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.config import Params, RealSet
from restorekit.evaluation.results import SYNTHETIC_TEST, Facts
from restorekit.image import to_float
from restorekit.paths import Paths
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.reader import ShardReader
from restorekit.sources.alignment import shift_note
from restorekit.sources.choosing import choosing_files, pairs_left
from restorekit.sources.real_pairs import RealPair, find_pairs, load_pair, pairs_digest
from restorekit.storage import address_of, local_path


@dataclass(frozen=True)
class Pair:
    """Two uint8 (H, W, 3) sRGB images of one size, and a mask, float32 (H, W), 1 = degraded, or None."""

    facts: Facts
    degraded: np.ndarray
    clean: np.ndarray
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class PairPart:
    """Opens the pairs `start` to `stop` of a set of `num_pairs`."""

    num_pairs: int
    open: Callable[[int, int], Iterator[Pair]]


@dataclass(frozen=True)
class PairSet:
    """A named set of pairs; equal digests mean equal pairs. `open` begins a new pass over the pairs."""

    name: str
    digest: str
    open: Callable[[], Iterator[Pair]]
    known: tuple[Facts, ...] | None = None  # of all pairs in order, where known without opening any
    part: PairPart | None = None  # for sets that any node can open in part

    def facts(self) -> list[Facts]:
        """The facts of every pair, in order."""
        return list(self.known) if self.known is not None else [pair.facts for pair in self.open()]


@dataclass(frozen=True)
class PictureSet:
    """Degraded photographs, uint8 (H, W, 3), without clean images: shown as pictures, never scored."""

    name: str
    digest: str
    facts: tuple[Facts, ...]
    open: Callable[[Sequence[str]], Iterator[tuple[Facts, np.ndarray]]]  # the photographs of the given keys


def scored_sets(run: str, params: Params, paths: Paths, base: Path) -> list[PairSet]:
    """The sets that score a run, the gate's set first; roots of real sets are relative to `base`."""
    one_run = params.run(run)
    chosen = choosing_files(params.real_choosing(one_run), base)
    named = params.real_tests(one_run)
    real = [real_pairs(name, one, base, chosen) for name, one in named.items() if one.paired]
    return [*_synthetic(run, params, paths), *real]


def picture_sets(run: str, params: Params, base: Path) -> list[PictureSet]:
    """The sets without clean images for a run's tasks."""
    named = params.real_tests(params.run(run))
    return [real_pictures(name, one, base) for name, one in named.items() if not one.paired]


def gate_set(run: str, params: Params, paths: Paths, base: Path) -> PairSet:
    """The set that decides promotion: the first synthetic test, or the first real set of a run without one."""
    synthetic = _synthetic(run, params, paths)
    return synthetic[0] if synthetic else scored_sets(run, params, paths, base)[0]


def synthetic_test(shards: Path, name: str = SYNTHETIC_TEST) -> PairSet:
    """The test shards of a data set, the folder `data/shards/<data set>/test`, as a set `name`."""
    manifest, place = ShardManifest.load(shards), address_of(shards)  # another node has a mirror of its own
    total = manifest.num_samples
    part = PairPart(total, lambda start, stop: _from_shards(local_path(place), start, stop))
    return PairSet(name, manifest.digest, lambda: _from_shards(shards, 0, total), part=part)


def real_pairs(name: str, config: RealSet, base: Path, chosen: frozenset[str] = frozenset()) -> PairSet:
    """The pairs of `real.evaluate.<name>`, without those of the `chosen` files.

    A RestorekitError where the set does not follow its layout, or no pair is left.
    """
    root, found = _found(name, config, base)
    pairs = pairs_left(f"real.evaluate.{name}", found, chosen)

    def opened(start: int = 0, stop: int | None = None) -> Iterator[Pair]:
        for pair in pairs[start:stop]:
            loaded = load_pair(root, pair)
            assert loaded.clean is not None  # the layout is paired
            mask = None if loaded.mask is None else to_float(loaded.mask)
            yield Pair(_real_facts(pair), loaded.degraded, loaded.clean, mask)

    known = tuple(_real_facts(pair) for pair in pairs)
    return PairSet(name, pairs_digest(pairs), opened, known, PairPart(len(pairs), opened))


def shift_notes(sets: Sequence[PairSet]) -> list[str]:
    """A line for each real set in which a pair is shifted by more than a pixel."""
    notes = []
    for one in sets:
        part = one.part
        if one.known is None or part is None:  # made here, and so aligned
            continue
        note = shift_note(
            f"real.evaluate.{one.name}",
            part.num_pairs,
            lambda number, part=part: ((p.facts.key, p.degraded, p.clean) for p in part.open(number, number + 1)),  # type: ignore[misc]
        )
        notes += [] if note is None else [note]
    return notes


def real_pictures(name: str, config: RealSet, base: Path) -> PictureSet:
    """The photographs of `real.evaluate.<name>`, a set without clean images."""
    root, pairs = _found(name, config, base)

    def opened(keys: Sequence[str]) -> Iterator[tuple[Facts, np.ndarray]]:
        for pair in pairs:
            if pair.key in keys:
                yield _real_facts(pair), load_pair(root, pair).degraded

    return PictureSet(name, pairs_digest(pairs), tuple(_real_facts(pair) for pair in pairs), opened)


def _synthetic(run: str, params: Params, paths: Paths) -> list[PairSet]:
    """The tests of the run's synthesized data sets; those after the first have the data set in their name."""
    made = [dataset for dataset in params.run(run).shares if dataset not in params.real.train]
    names = [SYNTHETIC_TEST, *(f"{SYNTHETIC_TEST}-{dataset}" for dataset in made[1:])]
    return [synthetic_test(paths.shards(one) / "test", name) for one, name in zip(made, names, strict=False)]


def _from_shards(shards: Path, start: int, stop: int) -> Iterator[Pair]:
    reader = ShardReader(shards)
    places = ((number, index) for number, shard in enumerate(reader.manifest.shards) for index in range(shard.samples))
    for place in islice(places, start, stop):
        sample = reader.sample(*place)
        mask = None if sample.mask is None else sample.mask.astype(np.float32) / np.float32(255.0)
        yield Pair(_synthetic_facts(sample.key, sample.record, mask), sample.degraded, sample.clean, mask)


def _synthetic_facts(key: str, record: dict[str, Any], mask: np.ndarray | None) -> Facts:
    """The facts in a sample's record; the kind is the drawn kind where the record has one, not "mixed"."""
    kind, severity = record.get("params", {}).get("kind", record.get("kind")), record.get("severity")
    return Facts(
        key,
        photograph=str(record["photograph"]),
        kind=None if kind is None else str(kind),
        severity=None if severity is None else float(severity),
        hole_share=float((mask > 0).mean()) if mask is not None and record.get("task") == "inpainting" else None,
    )


def _found(name: str, config: RealSet, base: Path) -> tuple[Path, tuple[RealPair, ...]]:
    root = base / Path(config.root).expanduser()
    return root, find_pairs(f"real.evaluate.{name}", root, config.layout, config.pairs)


def _real_facts(pair: RealPair) -> Facts:
    """A real pair's facts: kind and severity are unknown, and the scene counts as the photograph."""
    return Facts(pair.key, photograph=pair.scene)
