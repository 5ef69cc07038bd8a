"""Samples come out of verified shards only, in the order asked for, decoded to 8-bit arrays."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import webdataset as wds

from restorekit.errors import RestorekitError
from restorekit.image import decode_grey, decode_rgb
from restorekit.shards.manifest import REMEDY, ShardManifest
from restorekit.shards.plan import BLOCK_SHARDS, EpochOrder

RawSample = dict[str, bytes]
MEMBERS = frozenset({"layer", "mask", "transmission"})


@dataclass(frozen=True)
class ShardSample:
    """One decoded sample; images are uint8 H x W x 3 sRGB, maps uint8 H x W (255 = one)."""

    key: str
    degraded: np.ndarray
    clean: np.ndarray
    layer: np.ndarray | None
    mask: np.ndarray | None
    transmission: np.ndarray | None
    record: dict[str, Any]


class ShardReader:
    """Random access to the samples of one folder of shards; the shards of one block are held in memory, undecoded."""

    def __init__(self, folder: Path, members: frozenset[str] = MEMBERS) -> None:
        """`members` are the images that are decoded where a sample has them; the pair always is."""
        self.folder = folder
        self._members = members
        self.manifest = ShardManifest.load(folder)
        self._verified: set[str] = set()
        self._read = lru_cache(maxsize=BLOCK_SHARDS)(self._read_shard)

    def sample(self, shard: int, index: int) -> ShardSample:
        """Sample number `index` of shard number `shard` of the manifest."""
        key, members = self._read(shard)[index]
        return _decode(key, members, self._members, self.folder / self.manifest.shards[shard].name)

    def in_order(self, order: EpochOrder, positions: Sequence[int]) -> Iterator[ShardSample]:
        """The samples at `positions` of an epoch's order."""
        for position in positions:
            yield self.sample(*order.locate(position))

    def __iter__(self) -> Iterator[ShardSample]:
        for number, shard in enumerate(self.manifest.shards):
            for index in range(shard.samples):
                yield self.sample(number, index)

    def raw_samples(self) -> Iterator[tuple[str, RawSample]]:
        """(key, members as bytes) of every sample, in the order in which they were written."""
        for number in range(len(self.manifest.shards)):
            yield from self._read(number)

    def _read_shard(self, number: int) -> list[tuple[str, RawSample]]:
        shard = self.manifest.shards[number]
        if shard.name in self._verified:
            path = self.folder / shard.name
        else:
            path = self.manifest.verify(self.folder, shard)
            self._verified.add(shard.name)
        groups = wds.WebDataset(str(path), shardshuffle=False, nodesplitter=None, workersplitter=None)
        samples = [(group["__key__"], {k: v for k, v in group.items() if isinstance(v, bytes)}) for group in groups]
        if len(samples) != shard.samples:
            raise RestorekitError(
                f"shard {path} holds {len(samples)} samples, its manifest says {shard.samples}: {REMEDY}"
            )
        return samples


def iter_samples(folder: Path) -> Iterator[ShardSample]:
    """Every sample of a folder of shards, in the order in which they were written."""
    return iter(ShardReader(folder))


def _decode(key: str, members: RawSample, wanted: frozenset[str], path: Path) -> ShardSample:
    parts = {name.split(".")[0]: data for name, data in members.items()}
    parts = {name: data for name, data in parts.items() if name in wanted or name not in MEMBERS}
    try:
        return ShardSample(
            key=key,
            degraded=decode_rgb(parts["degraded"]),
            clean=decode_rgb(parts["clean"]),
            layer=decode_rgb(parts["layer"]) if "layer" in parts else None,
            mask=decode_grey(parts["mask"]) if "mask" in parts else None,
            transmission=decode_grey(parts["transmission"]) if "transmission" in parts else None,
            record=json.loads(parts["json"]),
        )
    except KeyError as error:
        raise RestorekitError(f"sample '{key}' of {path} has no member {error}: {REMEDY}") from error
    except (ValueError, RestorekitError) as error:
        raise RestorekitError(f"sample '{key}' of {path} cannot be decoded ({error}): {REMEDY}") from error
