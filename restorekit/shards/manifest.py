"""Folders of shards: each shard is a WebDataset tar with an index, and the manifest lists all of them by SHA-256.

A shard's bytes depend on its samples alone: one writer, members in a fixed order, no clock, no owner. The index has the
place of each member, in the format of NVIDIA DALI's wds2idx (v1.2), so that readers need not walk the tar. The manifest
holds the SHA-256 of both, and one digest over all its entries.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from restorekit.errors import RestorekitError
from restorekit.files import digest_of, read_json, sha256_file, write_atomically, write_json
from restorekit.storage import fetch_file

FORMAT = 2  # 1 had no indices
REMEDY = "run `dvc repro synthesize`, or `dvc repro pairs validation` for real sets"
_INDEX_VERSION = "v1.2"


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
        if not manifest.shards:
            raise RestorekitError(f"the shard manifest at {path} names no shards: {REMEDY}")
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


def _head(num_samples: int) -> bytes:
    return f"{_INDEX_VERSION} {num_samples}".encode()


def _parse(value: Any, path: Path) -> ShardManifest:
    try:
        if value["format"] != FORMAT:
            raise RestorekitError(f"{path} is of format {value['format']}, this version reads {FORMAT}: {REMEDY}")
        shards = value["shards"]
        for number, shard in enumerate(shards):
            shards[number] = Shard(**shard)  # in place, so that 10^5 shards are not held twice
        fields = {name: str(value[name]) for name in ("dataset", "task", "split", "photos_digest")}
        manifest, stated = ShardManifest(shards=tuple(shards), **fields), value["digest"]
    except (KeyError, TypeError) as error:
        raise RestorekitError(f"{path} is no shard manifest ({error}): {REMEDY}") from error
    if _digest_in(path) != stated:
        raise RestorekitError(f"{path} was altered: its digest does not fit what it lists: {REMEDY}")
    if any("/" in shard.name for shard in shards):
        raise RestorekitError(f"{path} names a shard outside its folder: {REMEDY}")
    return manifest


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
