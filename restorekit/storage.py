"""A working root may be an address (s3://bucket/prefix): a folder of this machine mirrors it, file by verified file.

`local_path` gives the place of an address in the mirror and `address_of` the way back, by arithmetic alone: any process
on any machine finds its own copy. Outside a mirror, fetching and pushing do nothing, so that the code is the same for
a folder that all machines share. What is pushed becomes visible with its last file, which lists the others.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from restorekit.errors import RestorekitError
from restorekit.files import canonical_json, sha256_file, write_beside

INDEX = ".files.json"  # of a pushed folder: bytes and SHA-256 of every file; written last
_ON_DISK = ("file", "local")  # whose addresses begin with a slash after the two


def cache_root() -> Path:
    """The folder of all mirrors on this machine: `RESTOREKIT_CACHE`, or ~/.cache/restorekit."""
    return Path(os.environ.get("RESTOREKIT_CACHE") or Path.home() / ".cache" / "restorekit").expanduser().resolve()


def local_path(place: str) -> Path:
    """The path of what another machine named with `address_of`."""
    scheme, separator, rest = place.partition("://")
    return cache_root() / scheme / rest.strip("/") if separator else Path(place)


def address_of(path: Path) -> str:
    """What names `path` on any machine: its address where it is in a mirror, else the path itself."""
    if not path.is_relative_to(cache_root()) or path == cache_root():
        return str(path)
    scheme, *rest = path.relative_to(cache_root()).parts
    return f"{scheme}://{'/' if scheme in _ON_DISK else ''}{'/'.join(rest)}"


def remote_of(path: Path) -> "Remote | None":
    """The stored counterpart of `path`, or None outside a mirror."""
    address = address_of(path)
    return Remote(address) if "://" in address else None


def fetch_file(path: Path, sha256: str | None = None) -> Path:
    """`path`, once it holds what is stored; with `sha256` it is fetched only if it does not hold that already.

    A file that is not stored is not there afterwards either, and the caller says what it was to be.
    """
    remote = remote_of(path)
    if remote is None:
        return path
    with one_at_a_time(path):
        if sha256 is not None and path.is_file() and sha256_file(path) == sha256:
            return path
        if remote.size() is None:
            path.unlink(missing_ok=True)
            return path
        with write_beside(path) as beside:
            remote.get(beside)
            if sha256 is not None and sha256_file(beside) != sha256:
                raise RestorekitError(f"{remote.address} does not hold what its manifest says (its SHA-256 differs)")
    return path


def push_file(path: Path) -> None:
    """Stores one file."""
    remote = remote_of(path)
    if remote is not None:
        remote.put(path)


def fetch(folder: Path) -> Path:
    """`folder`, once it holds the files that were last pushed; one that was never pushed is left as it is."""
    remote = remote_of(folder)
    if remote is None:
        return folder
    with one_at_a_time(folder):
        index = _read_index(remote)
        if index is None or index == _index_of(folder):
            return folder
        with write_beside(folder) as beside:
            for name, known in index.items():
                target, old = beside / name, folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if old.is_file() and sha256_file(old) == known["sha256"]:
                    shutil.copyfile(old, target)
                else:
                    (remote / name).get(target)
                if sha256_file(target) != known["sha256"]:
                    raise RestorekitError(f"{remote.address} changed while it was read, or is damaged: run it again")
    return folder


def push(folder: Path) -> None:
    """Stores the files of `folder` that are not stored already, then the list of them, and drops what is not in it."""
    remote = remote_of(folder)
    if remote is None:
        return
    before, now = _read_index(remote) or {}, _index_of(folder)
    for name, known in now.items():
        if before.get(name) != known:
            (remote / name).put(folder / name)
    (remote / INDEX).write(canonical_json(now).encode())
    for name in before.keys() - now.keys():
        (remote / name).remove()


@dataclass(frozen=True)
class Remote:
    """One stored file or folder; whatever goes wrong is told with its address."""

    address: str

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.address}/{name}")

    def size(self) -> int | None:
        """Bytes of a file, or None where there is none."""
        with self._open("looked for") as (fs, path):
            try:
                return int(fs.info(path)["size"])
            except FileNotFoundError:
                return None

    def read(self) -> bytes | None:
        """The bytes of a file, or None where there is none."""
        with self._open("read") as (fs, path):
            try:
                return bytes(fs.cat_file(path))
            except FileNotFoundError:
                return None

    def write(self, data: bytes) -> None:
        with self._open("written") as (fs, path):
            fs.pipe_file(path, data)

    def create(self, data: bytes) -> bool:
        """Writes a file that is not there yet; False where another process was first."""
        with self._open("written") as (fs, path):
            try:
                fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def get(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._open("read") as (fs, path):
            fs.get_file(path, str(file))

    def put(self, file: Path) -> None:
        """Stores a file; returns when the storage says that it has all of it."""
        with self._open("written") as (fs, path):
            fs.put_file(str(file), path)
        if self.size() != file.stat().st_size:
            raise RestorekitError(f"{self.address} did not arrive whole: run the same command again")

    def names(self) -> list[str]:
        """The names below a folder, sorted; none where there is no such folder."""
        with self._open("listed") as (fs, path):
            try:
                return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in fs.ls(path, detail=True))
            except FileNotFoundError:
                return []

    def remove(self) -> None:
        """Drops a file, or a folder with all that is in it; none is fine too."""
        with self._open("removed") as (fs, path):
            if fs.exists(path):
                fs.rm(path, recursive=True)

    def copy_to(self, other: "Remote") -> None:
        """Copies a file inside the storage."""
        with self._open("copied") as (fs, path), other._open("written") as (_, target):
            fs.cp_file(path, target)

    def filesystem(self) -> tuple[Any, str]:
        """(the fsspec file system, the path in it), for what takes them apart."""
        import fsspec

        on_disk = {"auto_mkdir": True} if self.address.partition("://")[0] in _ON_DISK else {}
        fs, path = fsspec.core.url_to_fs(self.address, use_listings_cache=False, **on_disk)
        return fs, path

    @contextmanager
    def _open(self, done: str) -> Iterator[tuple[Any, str]]:
        try:
            yield self.filesystem()
        except RestorekitError:
            raise
        except Exception as error:  # every storage has exceptions of its own
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise RestorekitError(
                f"{self.address} could not be {done} ({reason}): see that the storage answers and the credentials are "
                f"right, then run the same command again"
            ) from error


def _index_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Bytes and SHA-256 of every file, by its path in the folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
        for file in files
    }


def _read_index(remote: Remote) -> dict[str, dict[str, Any]] | None:
    data = (remote / INDEX).read()
    return None if data is None else json.loads(data)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Processes of this machine that want the same file wait for each other instead of each fetching it."""
    locks = cache_root() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / hashlib.sha256(str(path).encode()).hexdigest()[:32]):
        yield
