"""Mirrors a working root at an address (s3://bucket/prefix) in a local folder, and verifies every file.

`local_path` maps an address to its path in the mirror and `address_of` maps it back, both without any I/O, so that
every process on every machine finds its own copy. Outside a mirror, fetching and pushing do nothing: the same code
serves a folder that all machines share. A pushed folder becomes visible with its last file, which lists the others.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from restorekit.errors import RestorekitError
from restorekit.files import canonical_json, parse_json, sha256_file, write_atomically

INDEX = ".files.json"  # bytes and SHA-256 of every file of a pushed folder; written last
_ON_DISK = ("file", "local")  # schemes whose addresses have a third slash (file:///tmp)


def cache_root() -> Path:
    """The folder with all mirrors of this machine: `RESTOREKIT_CACHE`, or ~/.cache/restorekit."""
    return Path(os.environ.get("RESTOREKIT_CACHE") or Path.home() / ".cache" / "restorekit").expanduser().resolve()


def local_path(place: str) -> Path:
    """The path on this machine of a place that `address_of` named on another."""
    scheme, separator, rest = place.partition("://")
    return cache_root() / scheme / rest.strip("/") if separator else Path(place)


def address_of(path: Path) -> str:
    """The name of `path` on every machine: its address where it lies in a mirror, else the path itself."""
    if not path.is_relative_to(cache_root()) or path == cache_root():
        return str(path)
    scheme, *rest = path.relative_to(cache_root()).parts
    return f"{scheme}://{'/' if scheme in _ON_DISK else ''}{'/'.join(rest)}"


def remote_of(path: Path) -> "Remote | None":
    """The stored counterpart of `path`; None outside a mirror."""
    address = address_of(path)
    return Remote(address) if "://" in address else None


def fetch_file(path: Path, sha256: str | None = None) -> Path:
    """`path` with the stored bytes; a `path` that already has the digest `sha256` is not fetched again.

    A file that is not stored is removed here too, and the caller raises the error that names it.
    """
    remote = remote_of(path)
    if remote is None:
        return path
    with machine_lock(path):
        if sha256 is not None and path.is_file() and sha256_file(path) == sha256:
            return path
        if remote.size() is None:
            path.unlink(missing_ok=True)
            return path
        with write_atomically(path) as partial:
            remote.get(partial)
            if sha256 is not None and sha256_file(partial) != sha256:
                raise RestorekitError(f"{remote.address} is not the file of its manifest (its SHA-256 differs)")
    return path


def push_file(path: Path) -> None:
    """Stores one file; does nothing outside a mirror."""
    remote = remote_of(path)
    if remote is not None:
        remote.put(path)


def fetch(folder: Path) -> Path:
    """`folder` with the files of the last push; a folder that was never pushed stays as it is."""
    remote = remote_of(folder)
    if remote is None:
        return folder
    with machine_lock(folder):
        index = _read_index(remote)
        if index is None or index == _index_of(folder):
            return folder
        with write_atomically(folder) as partial:
            for name, known in index.items():
                target, old = partial / name, folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if old.is_file() and sha256_file(old) == known["sha256"]:
                    shutil.copyfile(old, target)
                else:
                    (remote / name).get(target)
                if sha256_file(target) != known["sha256"]:
                    raise RestorekitError(
                        f"{remote.address} changed while it was read, or is damaged: run the same command again"
                    )
    return folder


def push(folder: Path) -> None:
    """Stores the new and changed files of `folder`, then the list of all its files, and removes the stored rest."""
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
    """One stored file or folder; every error names its address."""

    address: str

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.address}/{name}")

    def size(self) -> int | None:
        """The size of a file in bytes, or None where there is no file."""
        with self._open("looked for") as (fs, path):
            try:
                return int(fs.info(path)["size"])
            except FileNotFoundError:
                return None

    def read(self) -> bytes | None:
        """The bytes of a file, or None where there is no file."""
        with self._open("read") as (fs, path):
            try:
                return bytes(fs.cat_file(path))
            except FileNotFoundError:
                return None

    def write(self, data: bytes) -> None:
        with self._open("written") as (fs, path):
            fs.pipe_file(path, data)

    def create(self, data: bytes) -> bool:
        """Writes a new file and returns True; returns False where the file exists already."""
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
        """Stores a file and checks its size in the storage."""
        with self._open("written") as (fs, path):
            fs.put_file(str(file), path)
        if self.size() != file.stat().st_size:
            raise RestorekitError(f"{self.address} did not arrive whole: run the same command again")

    def names(self) -> list[str]:
        """The sorted names in a folder; empty where there is no folder."""
        with self._open("listed") as (fs, path):
            try:
                return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in fs.ls(path, detail=True))
            except FileNotFoundError:
                return []

    def find(self) -> list[str]:
        """The sorted paths of all files in a folder and below, relative to it; empty where there is no folder."""
        with self._open("listed") as (fs, path):
            root = path.rstrip("/")
            return sorted(name.removeprefix(f"{root}/") for name in fs.find(root))

    def remove(self) -> None:
        """Removes a file, or a folder with its contents; a missing one is no error."""
        with self._open("removed") as (fs, path):
            if fs.exists(path):
                fs.rm(path, recursive=True)

    def copy_to(self, other: "Remote") -> None:
        """Copies a file within the storage."""
        with self._open("copied") as (fs, path), other._open("written") as (_, target):
            fs.cp_file(path, target)

    def filesystem(self) -> tuple[Any, str]:
        """(fsspec file system, path in it), for libraries that take the two separately."""
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
        except Exception as error:  # every storage raises its own exceptions
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise RestorekitError(
                f"{self.address} could not be {done} ({reason}): check that the storage answers and the credentials "
                f"are right, then run the same command again"
            ) from error


def _index_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Bytes and SHA-256 of every file, keyed by its path in the folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
        for file in files
    }


def _read_index(remote: Remote) -> dict[str, dict[str, Any]] | None:
    data = (remote / INDEX).read()
    if data is None:
        return None
    try:
        index: dict[str, dict[str, Any]] = dict(parse_json(data))
        names = [PurePosixPath(name) for name in index]
        if not all(type(known["sha256"]) is str for known in index.values()):
            raise ValueError("a digest is text")
    except (ValueError, TypeError, KeyError) as error:
        raise RestorekitError(f"{remote.address}/{INDEX} lists no files ({error}): store the folder again") from error
    for name in names:
        if name.is_absolute() or ".." in name.parts:
            raise RestorekitError(f"{remote.address}/{INDEX} names '{name}', which is outside: store the folder again")
    return index


@contextmanager
def machine_lock(path: Path) -> Iterator[None]:
    """Locks `path` among the processes of this machine, so that one of them fetches it while the others wait."""
    locks = cache_root() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / hashlib.sha256(str(path).encode()).hexdigest()[:32]):
        yield
