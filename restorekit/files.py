"""Files appear whole or not at all: everything is written beside its place and renamed into it."""

import glob
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from restorekit.errors import RestorekitError


@contextmanager
def write_beside(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to (a file or a folder) and renames it into place if nothing was raised.

    A file already there is replaced in one step; a folder already there is removed just before the rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = f".{path.name}.{socket.gethostname()}."
    for left in path.parent.glob(f"{glob.escape(mine)}*.part"):
        if not psutil.pid_exists(int(left.name.removeprefix(mine).removesuffix(".part"))):
            _remove(left)  # by a process of this machine that was killed
    beside = path.with_name(f"{mine}{os.getpid()}.part")
    _remove(beside)
    try:
        yield beside
        if beside.is_file():
            flush_to_disk(beside)
        if path.is_dir():
            shutil.rmtree(path)
        beside.replace(path)
    finally:
        _remove(beside)


def flush_to_disk(file: Path) -> None:
    """Returns when the file's bytes would survive a power cut."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON with sorted keys, atomically: equal values give equal bytes."""
    with write_beside(path) as beside:
        beside.write_text(canonical_json(value))


def canonical_json(value: Any) -> str:
    """The one text of a JSON value; NaN and infinities are refused with a ValueError."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path, what: str, remedy: str) -> Any:
    """Reads a JSON file; when it is missing or damaged, says `what` it was to be and the `remedy`."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise RestorekitError(f"no {what} at {path}: {remedy}") from None
    except (ValueError, OSError) as error:
        raise RestorekitError(f"the {what} at {path} cannot be read ({error}): {remedy}") from error


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """The hexadecimal SHA-256 of a JSON value in its canonical text."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
