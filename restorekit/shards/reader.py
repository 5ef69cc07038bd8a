"""Samples of verified shards, in the order asked for, decoded to 8-bit arrays.

A shard is verified once on each machine: the SHA-256 of the tar and of the index are compared with the manifest. After
that every sample is one read of the file, at its place in the index.
"""

import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import parse_json
from restorekit.image import decode_grey, decode_rgb
from restorekit.shards.manifest import REMEDY, ShardManifest
from restorekit.shards.plan import BLOCK_SHARDS, share_before
from restorekit.shards.verified import verify_once
from restorekit.tasks import MEMBERS

RawSample = dict[str, bytes]


@dataclass(frozen=True)
class ShardSample:
    """One decoded sample; images are uint8 H x W x 3 sRGB, maps uint8 H x W (255 = one)."""

    key: str
    degraded: np.ndarray
    clean: np.ndarray
    layer: np.ndarray | None
    mask: np.ndarray | None
    transmission: np.ndarray | None
    record_json: bytes

    @cached_property
    def record(self) -> dict[str, Any]:
        """The record that the sample was made from; parsed on demand, because a training never reads it."""
        try:
            return dict(parse_json(self.record_json))
        except (ValueError, TypeError) as error:
            raise RestorekitError(f"the record of sample '{self.key}' is none ({error}): {REMEDY}") from error


class ShardReader:
    """Random access to the samples of one folder of shards; the shards of `num_lanes` blocks stay open."""

    def __init__(self, folder: Path, members: frozenset[str] = MEMBERS, num_lanes: int = 1) -> None:
        """`members`: the images to decode besides the pair, if a sample has them."""
        self.folder = folder
        self._members = members
        self.manifest = ShardManifest.load(folder)
        self._verified: set[str] = set()
        self._shard = lru_cache(maxsize=BLOCK_SHARDS * num_lanes)(self._open)
        self._buffer = bytearray()

    def sample(self, shard: int, index: int) -> ShardSample:
        """Sample number `index` of shard number `shard` of the manifest."""
        opened = self._shard(shard)
        return _decode(*self._members_of(opened, index), self._members, opened.path)

    def images(self) -> set[str]:
        """The images of the first sample, such as "degraded", "clean" and "layer"."""
        first = next(number for number, shard in enumerate(self.manifest.shards) if shard.samples)
        return {name.partition(".")[0] for name in self._shard(first).places(0)[1]} - {"json"}

    def __iter__(self) -> Iterator[ShardSample]:
        for place in self.places():
            yield self.sample(*place)

    def raw_samples(self) -> Iterator[tuple[str, RawSample]]:
        """(key, members as bytes) of every sample, in the order in which they were written."""
        for place in self.places():
            yield self.raw_sample(*place)

    def raw_sample(self, shard: int, index: int) -> tuple[str, RawSample]:
        """(key, members as bytes) of sample number `index` of shard number `shard` of the manifest."""
        key, members = self._members_of(self._shard(shard), index)
        return key, {name: bytes(data) for name, data in members.items()}

    def places(self, part: int = 0, parts: int = 1) -> list[tuple[int, int]]:
        """(shard, index) of every sample, or of one of several parts, which follow each other."""
        ends = (share_before(self.manifest.num_samples, one, parts) for one in (part, part + 1))
        every = ((number, index) for number, shard in enumerate(self.manifest.shards) for index in range(shard.samples))
        return list(islice(every, *ends))

    def _members_of(self, opened: "_OpenShard", index: int) -> tuple[str, dict[str, memoryview]]:
        """The key and the members of a sample; the members share a buffer, which the next call overwrites."""
        key, places = opened.places(index)
        start = min(offset for offset, _ in places.values())
        size = max(offset + length for offset, length in places.values()) - start
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        if os.preadv(opened.file, [view], start) != size:
            raise RestorekitError(f"shard {opened.path} ends before its sample '{key}' does: {REMEDY}")
        return key, {name: view[offset - start :][:length] for name, (offset, length) in places.items()}

    def _open(self, number: int) -> "_OpenShard":
        shard = self.manifest.shards[number]
        if shard.name not in self._verified:
            verify_once(self.manifest, self.folder, number)
            self._verified.add(shard.name)
        return _OpenShard(self.folder / shard.name, self.manifest.index(self.folder, shard))


class _OpenShard:
    """An open tar, and the line of its index for each sample."""

    def __init__(self, path: Path, lines: list[bytes]) -> None:
        self.path, self.file, self._lines = path, os.open(path, os.O_RDONLY), lines
        weakref.finalize(self, os.close, self.file)

    def places(self, index: int) -> tuple[str, dict[str, tuple[int, int]]]:
        """A sample's key, and (first byte, number of bytes) of each of its members by name."""
        fields = self._lines[index].decode().split(" ")  # checked when the index was read
        members = zip(fields[::4], fields[1::4], fields[2::4], strict=True)
        return fields[3].partition(".")[0], {name: (int(offset), int(size)) for name, offset, size in members}


def iter_samples(folder: Path) -> Iterator[ShardSample]:
    """Every sample of a folder of shards, in the order in which they were written."""
    return iter(ShardReader(folder))


def _decode(key: str, members: dict[str, memoryview], wanted: frozenset[str], path: Path) -> ShardSample:
    parts = {name.partition(".")[0]: data for name, data in members.items()}
    maps = parts.keys() & wanted
    if len(parts) < len(members):
        raise RestorekitError(f"sample '{key}' of {path} has an image in two encodings: {REMEDY}")
    try:
        sample = ShardSample(
            key=key,
            degraded=decode_rgb(parts["degraded"]),
            clean=decode_rgb(parts["clean"]),
            layer=decode_rgb(parts["layer"]) if "layer" in maps else None,
            mask=decode_grey(parts["mask"]) if "mask" in maps else None,
            transmission=decode_grey(parts["transmission"]) if "transmission" in maps else None,
            record_json=bytes(parts["json"]),
        )
    except KeyError as error:
        raise RestorekitError(f"sample '{key}' of {path} has no member {error}: {REMEDY}") from error
    except (ValueError, RestorekitError) as error:
        raise RestorekitError(f"sample '{key}' of {path} cannot be decoded ({error}): {REMEDY}") from error
    size = sample.clean.shape[:2]
    for name in ("degraded", *sorted(maps)):
        shape = getattr(sample, name).shape[:2]
        if shape != size:
            found, expected = (f"{width} x {height}" for height, width in (shape, size))
            raise RestorekitError(f"sample '{key}' of {path}: {name} has {found} pixels, clean {expected}: {REMEDY}")
    return sample
