"""Writes files and folders atomically: under a temporary name in the same folder, renamed when complete."""

import errno
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

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAX_JSON_BYTES = 2**29  # a manifest of a million shards has half of it


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary path for a file or a folder; renamed to `path` if the body raises nothing.

    The rename replaces an old file in one step; an old folder is removed just before the rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.{socket.gethostname()}."
    for leftover in path.parent.glob(f"{glob.escape(prefix)}*.part"):
        if not psutil.pid_exists(int(leftover.name.removeprefix(prefix).removesuffix(".part"))):
            _remove(leftover)  # of a killed process of this machine
    partial = path.with_name(f"{prefix}{os.getpid()}.part")
    _remove(partial)
    try:
        yield partial
        if partial.is_file():
            flush_to_disk(partial)
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    finally:
        _remove(partial)


def flush_to_disk(file: Path) -> None:
    """Flushes a file to disk, so that its bytes survive a power cut."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON with sorted keys, atomically: equal values give equal bytes."""
    with write_atomically(path) as partial:
        partial.write_text(canonical_json(value))


def canonical_json(value: Any) -> str:
    """The one text of a JSON value; NaN and infinities raise a ValueError."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path, what: str, remedy: str) -> Any:
    """The value of a JSON file; where it is missing or damaged, the error names `what` it is and the `remedy`."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"more than {MAX_JSON_BYTES >> 20} MiB")
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise RestorekitError(f"no {what} at {path}: {remedy}") from None
    except (ValueError, OSError) as error:
        raise RestorekitError(f"the {what} at {path} cannot be read ({error}): {remedy}") from error


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text; a ValueError for every other text, and for NaN, infinities and very deep nesting."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


@contextmanager
def asking_for_room(what: str) -> Iterator[None]:
    """Turns the OSError of a full disk into a RestorekitError that names `what` could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RestorekitError(
            f"{what} could not be written ({error.strerror}): make room and run the same command again"
        ) from error


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """The hexadecimal SHA-256 of a JSON value in its canonical text."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
