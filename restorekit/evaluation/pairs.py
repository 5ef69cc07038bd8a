"""What a model is judged on: pairs of a degraded and a clean image, whatever they were made from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.shards.manifest import ShardManifest
from restorekit.shards.reader import ShardReader
from restorekit.storage import address_of, local_path

SYNTHETIC_TEST = "synthetic-test"


@dataclass(frozen=True)
class Facts:
    """What is known of a pair before anything is scored; slices and pictures are chosen by it."""

    key: str
    photograph: str  # images of one photograph are not independent of each other
    kind: str | None = None  # of degradation
    severity: float | None = None  # 0 to 1
    hole_share: float | None = None  # of the image that is missing; None where nothing is but degraded


@dataclass(frozen=True)
class Pair:
    """Two uint8 (H, W, 3) sRGB images of one size; the mask, where there is one, is float32 (H, W), 1 = degraded."""

    facts: Facts
    degraded: np.ndarray
    clean: np.ndarray
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class PairPart:
    """Pairs `start` to `stop` of a set of `num_pairs`."""

    num_pairs: int
    open: Callable[[int, int], Iterator[Pair]]


@dataclass(frozen=True)
class PairSet:
    """Test data under a name and a digest: equal digests mean equal pairs. `open` begins a new pass over them."""

    name: str
    digest: str
    open: Callable[[], Iterator[Pair]]
    known: tuple[Facts, ...] | None = None  # of all pairs in order, where they are known without opening any
    part: "PairPart | None" = None  # where some can be opened without the others, on any node

    def facts(self) -> list[Facts]:
        """What is known of every pair."""
        return list(self.known) if self.known is not None else [pair.facts for pair in self.open()]


def synthetic_test(shards: Path) -> PairSet:
    """The test shards of a data set, the folder `data/shards/<data set>/test`."""
    manifest, place = ShardManifest.load(shards), address_of(shards)  # another node has a mirror of its own
    total = manifest.num_samples
    part = PairPart(total, lambda start, stop: _from_shards(local_path(place), start, stop))
    return PairSet(SYNTHETIC_TEST, manifest.digest, lambda: _from_shards(shards, 0, total), part=part)


def _from_shards(shards: Path, start: int, stop: int) -> Iterator[Pair]:
    reader = ShardReader(shards)
    places = ((number, index) for number, shard in enumerate(reader.manifest.shards) for index in range(shard.samples))
    for place in islice(places, start, stop):
        sample = reader.sample(*place)
        mask = None if sample.mask is None else sample.mask.astype(np.float32) / np.float32(255.0)
        yield Pair(_facts(sample.key, sample.record, mask), sample.degraded, sample.clean, mask)


def _facts(key: str, record: dict[str, Any], mask: np.ndarray | None) -> Facts:
    """The kind is the one that was drawn, where the operator says so; the data set's own may be "mixed"."""
    kind, severity = record.get("params", {}).get("kind", record.get("kind")), record.get("severity")
    return Facts(
        key,
        photograph=str(record["photograph"]),
        kind=None if kind is None else str(kind),
        severity=None if severity is None else float(severity),
        hole_share=float((mask > 0).mean()) if mask is not None and record.get("task") == "inpainting" else None,
    )
