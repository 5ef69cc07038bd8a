"""A folder of shards is what its manifest says: name, samples, bytes and SHA-256 of each, and one digest of it all."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import webdataset as wds

from restorekit.errors import RestorekitError
from restorekit.files import digest_of, read_json, sha256_file, write_beside, write_json
from restorekit.storage import fetch_file

FORMAT = 1
REMEDY = "run `dvc repro synthesize`, or `dvc repro pairs` for a real set"


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar: `samples` groups of members, `bytes` long."""

    name: str
    samples: int
    bytes: int
    sha256: str


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
        """Reads and checks `manifest.json` of `folder`; the shards themselves are checked when they are opened."""
        path = fetch_file(folder / "manifest.json")
        manifest = _parse(read_json(path, "shard manifest", REMEDY), path)
        if not manifest.shards:
            raise RestorekitError(f"the shard manifest at {path} names no shards: {REMEDY}")
        return manifest

    def verify(self, folder: Path, shard: Shard) -> Path:
        """The path of `shard` in `folder`, once its size and SHA-256 agree with the manifest."""
        path = fetch_file(folder / shard.name, shard.sha256)
        if not path.is_file():
            raise RestorekitError(f"shard {path} is missing: {REMEDY}")
        size = path.stat().st_size
        if size != shard.bytes:
            raise RestorekitError(f"shard {path} has {size} bytes, its manifest says {shard.bytes}: {REMEDY}")
        if sha256_file(path) != shard.sha256:
            raise RestorekitError(f"shard {path} is not the one its manifest names (its SHA-256 differs): {REMEDY}")
        return path


def _parse(value: Any, path: Path) -> ShardManifest:
    try:
        if value["format"] != FORMAT:
            raise RestorekitError(f"{path} is of format {value['format']}, this version reads {FORMAT}: {REMEDY}")
        shards = value["shards"]
        for number, shard in enumerate(shards):
            shards[number] = Shard(**shard)  # in place: 10^5 of them are not held twice
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
    """What `digest` was when the file was written, from its text: to encode 10^5 shards anew takes a second."""
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


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> Shard:
    """Writes (key, members) pairs as one WebDataset tar, beside its place and renamed.

    Members are named by what follows the key's dot, such as ``degraded.png``; keys hold no dot.
    """
    num_samples = 0
    with write_beside(path) as beside:
        with wds.TarWriter(str(beside), mtime=0, encoder=False, user="restorekit", group="restorekit") as writer:
            for key, members in samples:
                if "." in key:
                    raise ValueError(f"key '{key}' holds a dot, at which WebDataset would split it")
                writer.write({"__key__": key, **{name: members[name] for name in sorted(members)}})
                num_samples += 1
        return Shard(path.name, num_samples, beside.stat().st_size, sha256_file(beside))
