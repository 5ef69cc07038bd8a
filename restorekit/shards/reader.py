"""Samples come out of verified shards only, in the order asked for, decoded to 8-bit arrays.

A shard is opened once: its SHA-256 is held against the manifest, and its tar headers are walked, which leaves eight
bytes a sample to keep. A sample is then one read of the file, whichever it is.
"""

import json
import mmap
import os
import re
import weakref
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.image import decode_grey, decode_rgb
from restorekit.shards.manifest import REMEDY, ShardManifest
from restorekit.shards.plan import BLOCK_SHARDS, EpochOrder
from restorekit.tasks import MEMBERS

RawSample = dict[str, bytes]
_HEADER = 512  # bytes; a tar's headers and members begin at multiples of it
_PAX_NAME = re.compile(rb"\d+ path=([^\n]*)\n")


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
        """What the sample was made from; parsed when it is asked for, since a training never does."""
        return dict(json.loads(self.record_json))


class ShardReader:
    """Random access to the samples of one folder of shards; the shards of one block are held open."""

    def __init__(self, folder: Path, members: frozenset[str] = MEMBERS) -> None:
        """`members` are the images that are decoded where a sample has them; the pair always is."""
        self.folder = folder
        self._members = members
        self.manifest = ShardManifest.load(folder)
        self._verified: set[str] = set()
        self._shard = lru_cache(maxsize=BLOCK_SHARDS)(self._open)
        self._buffer = bytearray()

    def sample(self, shard: int, index: int) -> ShardSample:
        """Sample number `index` of shard number `shard` of the manifest."""
        opened = self._shard(shard)
        return _decode(*self._members_of(opened, index), self._members, opened.path)

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
        for number, shard in enumerate(self.manifest.shards):
            for index in range(shard.samples):
                key, members = self._members_of(self._shard(number), index)
                yield key, {name: bytes(data) for name, data in members.items()}

    def _members_of(self, opened: "_OpenShard", index: int) -> tuple[str, dict[str, memoryview]]:
        """The key and the members of a sample; they lie in one buffer, which the next call overwrites."""
        start, size = opened.starts[index], opened.starts[index + 1] - opened.starts[index]
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        if os.preadv(opened.file, [view], start) != size:
            raise RestorekitError(f"shard {opened.path} was cut short while it was read: {REMEDY}")
        members = {}
        for _, name, offset, length in _walk(view):
            key, _, member = name.partition(".")
            members[member] = view[offset : offset + length]
        return key, members

    def _open(self, number: int) -> "_OpenShard":
        shard = self.manifest.shards[number]
        path = self.folder / shard.name
        if shard.name not in self._verified:
            self.manifest.verify(self.folder, shard)
            self._verified.add(shard.name)
        opened = _OpenShard(path)
        if len(opened.starts) - 1 != shard.samples:
            raise RestorekitError(
                f"shard {path} holds {len(opened.starts) - 1} samples, its manifest says {shard.samples}: {REMEDY}"
            )
        return opened


class _OpenShard:
    """A tar's open file, and where each of its samples begins; the last of `starts` is where they end."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)
        self.starts, last, end = array("q"), None, 0
        try:
            with mmap.mmap(self.file, 0, prot=mmap.PROT_READ) as tar:
                for start, name, offset, length in _walk(tar):
                    key, end = name.partition(".")[0], offset + length
                    if key != last:
                        self.starts.append(start)
                        last = key
        except (ValueError, IndexError) as error:
            raise RestorekitError(f"shard {path} is no tar of samples ({error}): {REMEDY}") from error
        self.starts.append(end)


def iter_samples(folder: Path) -> Iterator[ShardSample]:
    """Every sample of a folder of shards, in the order in which they were written."""
    return iter(ShardReader(folder))


def _walk(tar: mmap.mmap | memoryview) -> Iterator[tuple[int, str, int, int]]:
    """(where its headers begin, name, where its bytes begin, their number) of each file in a tar or a part of one."""
    offset = start = 0
    long_name = None
    while offset < len(tar) and tar[offset]:
        size, body = int(bytes(tar[offset + 124 : offset + 135]), 8), offset + _HEADER
        if tar[offset + 156] == ord("x"):  # the name of the file that follows: longer than 100 bytes, or not ASCII
            long_name = _PAX_NAME.search(bytes(tar[body : body + size]))
        else:
            name = long_name[1] if long_name else bytes(tar[offset : offset + 100]).partition(b"\0")[0]
            yield start, name.decode(), body, size
            start, long_name = body + -(-size // _HEADER) * _HEADER, None
        offset = body + -(-size // _HEADER) * _HEADER


def _decode(key: str, members: dict[str, memoryview], wanted: frozenset[str], path: Path) -> ShardSample:
    parts = {name.partition(".")[0]: data for name, data in members.items()}
    maps = parts.keys() & wanted
    try:
        return ShardSample(
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
