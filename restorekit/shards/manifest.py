"""Folders of shards: each shard is a WebDataset tar with an index, and the manifest lists all of them by SHA-256.

A shard's bytes depend on its samples alone: one writer, members in a fixed order, no clock, no owner. The index has the
place of each member, in the format of NVIDIA DALI's wds2idx (v1.2), so that readers need not walk the tar. The manifest
holds the SHA-256 of both, and one digest over all its entries.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import digest_of, read_json, sha256_file, write_atomically, write_json
from restorekit.storage import fetch_file

FORMAT = 2  # 1 had no indices
REMEDY = "run `dvc repro synthesize`, or `dvc repro pairs validation` for real sets"
_INDEX_VERSION = "v1.2"
_MAX_COUNT = 2**48  # samples or bytes of a shard
_SHARD_NAME = re.compile(r"\w[\w.-]*\.tar")
_BLOCK = 512  # bytes of a tar's header
_SIZE, _CHECKSUM, _KIND = slice(124, 136), slice(148, 156), 156  # places in it


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar, `bytes` long, with `samples` groups of members, and the digest of its index."""

    name: str
    samples: int
    bytes: int
    sha256: str
    index_sha256: str

    @property
    def index(self) -> str:
        """The name of the index in the same folder."""
        return PurePath(self.name).with_suffix(".idx").name


@dataclass(frozen=True)
class ShardManifest:
    """The shards of one split of one data set, in order."""

    dataset: str
    task: str
    split: str
    photos_digest: str
    shards: tuple[Shard, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole manifest: equal digests mean equal samples."""
        return digest_of(asdict(self))

    @property
    def num_samples(self) -> int:
        return sum(shard.samples for shard in self.shards)

    def save(self, folder: Path) -> None:
        """Writes `manifest.json` into `folder`."""
        write_json(folder / "manifest.json", {"format": FORMAT, "digest": self.digest, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> "ShardManifest":
        """Reads and checks `manifest.json` of `folder`; shards are checked when opened."""
        path = fetch_file(folder / "manifest.json")
        manifest = _parse(read_json(path, "shard manifest", REMEDY), path)
        if not manifest.num_samples:
            raise RestorekitError(f"the shard manifest at {path} names no shards with samples: {REMEDY}")
        return manifest

    def verify(self, folder: Path, shard: Shard) -> Path:
        """The path of `shard` in `folder`, after a check of its size and SHA-256 against the manifest."""
        path = fetch_file(folder / shard.name, shard.sha256)
        if not path.is_file():
            raise RestorekitError(f"shard {path} is missing: {REMEDY}")
        size = path.stat().st_size
        if size != shard.bytes:
            raise RestorekitError(f"shard {path} has {size} bytes, its manifest says {shard.bytes}: {REMEDY}")
        if sha256_file(path) != shard.sha256:
            raise RestorekitError(f"shard {path} is not the one its manifest names (its SHA-256 differs): {REMEDY}")
        return path

    def index(self, folder: Path, shard: Shard) -> list[bytes]:
        """The lines of a shard's index, one for each sample, after a check of the index's SHA-256."""
        path = fetch_file(folder / shard.index, shard.index_sha256)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise RestorekitError(f"{path}, the index of shard {shard.name}, is missing: {REMEDY}") from None
        if hashlib.sha256(data).hexdigest() != shard.index_sha256:
            raise RestorekitError(f"{path} is not the index of shard {shard.name} (its SHA-256 differs): {REMEDY}")
        head, *lines = data.removesuffix(b"\n").split(b"\n")
        if head != _head(shard.samples) or len(lines) != shard.samples:
            raise RestorekitError(f"{path} is no index of {shard.samples} samples, as its manifest says: {REMEDY}")
        _check_headers(folder / shard.name, lines)
        return lines


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> Shard:
    """Writes (key, members) pairs as one WebDataset tar and its index; neither file appears before both are whole.

    A member's name is the part of the file's name after the first dot, such as ``degraded.png``. Keys are unique, and
    have neither dots nor spaces. The bytes are those of webdataset's TarWriter, which is not used because it imports
    torch: two seconds in every process that writes shards.
    """
    num_samples = 0
    with write_atomically(path.with_suffix(".idx")) as index, write_atomically(path) as partial:
        with partial.open("wb") as file, tarfile.open(fileobj=file, mode="w|") as tar:
            for key, members in samples:
                if re.search(r"[.\s]", key):
                    raise ValueError(
                        f"key '{key}' holds a dot or a space; a dot ends a key, a space a name in the index"
                    )
                for name in sorted(members):
                    member = tarfile.TarInfo(f"{key}.{name}")
                    member.size, member.mode = len(members[name]), 0o444
                    member.uname = member.gname = "restorekit"
                    tar.addfile(member, io.BytesIO(members[name]))
                num_samples += 1
        lines = _index_lines(partial)
        if len(lines) != num_samples:
            raise ValueError(f"{num_samples} samples of {path.name} have {len(lines)} keys; a key names one sample")
        index.write_bytes(b"\n".join([_head(num_samples), *lines, b""]))
        return Shard(path.name, num_samples, partial.stat().st_size, sha256_file(partial), sha256_file(index))


def _index_lines(tar: Path) -> list[bytes]:
    """A line for each sample: name, first byte, number of bytes and file name of each member."""
    samples: dict[str, list[str]] = {}
    with tarfile.open(tar) as opened:
        for member in opened:
            key, _, name = member.name.partition(".")
            samples.setdefault(key, []).append(f"{name} {member.offset_data} {member.size} {member.name}")
    return [" ".join(members).encode() for members in samples.values()]


def _places_in(line: bytes, number: int, tar: Path) -> tuple[str, dict[str, tuple[int, int]]]:
    """The key of sample `number`, and (first byte, bytes) of its members by name, from its line of the index."""
    try:
        fields = line.decode().split(" ")
        members = list(zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=True))
        places = {name: (int(offset), int(size)) for name, offset, size, _ in members}
        key = fields[3].partition(".")[0]
    except (ValueError, IndexError) as error:
        raise RestorekitError(f"the index of shard {tar} is none at sample {number} ({error}): {REMEDY}") from error
    if len(places) < len(members):
        raise RestorekitError(f"shard {tar} has a member of the sample '{key}' twice: {REMEDY}")
    if any(file != f"{key}.{name}" for name, _, _, file in members) or not re.fullmatch(r"[^\s/\\\0]+", key):
        raise RestorekitError(f"shard {tar} has a member whose name is no key and a suffix, near '{key}': {REMEDY}")
    return key, places


def _check_headers(tar: Path, lines: Sequence[bytes]) -> None:
    """Compares the tar's headers with the index; a RestorekitError names a member that the tar does not have so.

    Before each member's bytes there must be the header of a plain file of the same size, with a right checksum. All
    headers of a shard are read at once, so that a shard of a thousand samples takes a few milliseconds.
    """
    found = [_places_in(line, number, tar) for number, line in enumerate(lines)]
    names = [f"{key}.{name}" for key, places in found for name in places]
    if len(set(names)) < len(names):
        raise RestorekitError(f"shard {tar} has a sample twice: {REMEDY}")
    if not names:
        return
    places = np.array([place for _, one in found for place in one.values()], dtype=np.int64)
    content = np.memmap(tar, np.uint8, mode="r")
    starts = places[:, 0] - _BLOCK
    outside = (starts < 0) | (places.min(axis=1) < 0) | (places.sum(axis=1) > content.size)
    if outside.any():
        name = names[int(outside.argmax())]
        raise RestorekitError(f"shard {tar} does not hold its member '{name}' where its index says: {REMEDY}")
    for first in range(0, len(names), _BLOCK):  # parts, because a shard may have a million members
        headers = content[starts[first : first + _BLOCK, None] + np.arange(_BLOCK)]
        sums = headers.sum(axis=1, dtype=np.int64) - headers[:, _CHECKSUM].sum(axis=1, dtype=np.int64) + 8 * ord(" ")
        right = (sums == _octal(headers[:, _CHECKSUM])) & np.isin(headers[:, _KIND], (0, ord("0")))
        right &= places[first : first + _BLOCK, 1] == _octal(headers[:, _SIZE])
        if not right.all():
            name = names[first + int(right.argmin())]
            raise RestorekitError(f"shard {tar} has no right tar header for its member '{name}': {REMEDY}")


def _octal(fields: np.ndarray) -> np.ndarray:
    """The number in each row of octal digits; -1 where other characters stand before the end, a NUL or a space."""
    value = np.zeros(len(fields), np.int64)
    is_over, is_wrong = np.zeros(len(fields), bool), np.zeros(len(fields), bool)
    for column in fields.T:
        digit = (column >= ord("0")) & (column < ord("8"))
        is_over |= ~digit
        is_wrong |= ~digit & ~np.isin(column, (0, ord(" ")))
        value = np.where(is_over, value, value * 8 + column - ord("0"))
    return np.where(is_wrong, -1, value)


def _head(num_samples: int) -> bytes:
    return f"{_INDEX_VERSION} {num_samples}".encode()


def _parse(value: Any, path: Path) -> ShardManifest:
    try:
        if value["format"] != FORMAT:
            raise RestorekitError(f"{path} is of format {value['format']}, this version reads {FORMAT}: {REMEDY}")
        shards = value["shards"]
        for number, shard in enumerate(shards):
            shards[number] = _shard(shard)  # in place, so that 10^5 shards are not held twice
        fields = {name: str(value[name]) for name in ("dataset", "task", "split", "photos_digest")}
        manifest, stated = ShardManifest(shards=tuple(shards), **fields), value["digest"]
    except (KeyError, TypeError, ValueError) as error:
        raise RestorekitError(f"{path} is no shard manifest ({error}): {REMEDY}") from error
    if _digest_in(path) != stated:
        raise RestorekitError(f"{path} was altered: its digest does not fit what it lists: {REMEDY}")
    for shard in shards:
        if not _SHARD_NAME.fullmatch(shard.name):
            raise RestorekitError(f"{path} names '{shard.name}', no tar in its folder, perhaps outside: {REMEDY}")
    if len({shard.name for shard in shards}) < len(shards):
        raise RestorekitError(f"{path} names a shard twice: {REMEDY}")
    return manifest


def read_note(path: Path) -> Shard:
    """The shard that a note beside its tar describes."""
    try:
        return _shard(read_json(path, "shard note", REMEDY))
    except (TypeError, ValueError) as error:
        raise RestorekitError(f"{path} is no note about a shard ({error}): remove it and {REMEDY}") from error


def _shard(value: dict[str, Any]) -> Shard:
    shard = Shard(**value)
    if not all(type(one) is str for one in (shard.name, shard.sha256, shard.index_sha256)):
        raise ValueError("the name and the digests of a shard are text")
    if not all(type(one) is int and 0 <= one < _MAX_COUNT for one in (shard.samples, shard.bytes)):
        raise ValueError(f"'{shard.name}' has {shard.samples} samples and {shard.bytes} bytes")
    return shard


def _digest_in(path: Path) -> str:
    """The digest of the file's text without its first two lines; encoding 10^5 shards anew would take a second."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for line in file:
            if not line.startswith((b' "digest": ', b' "format": ')):
                digest.update(line)
            if line.startswith(b' "shards": '):
                break
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
