"""Notes of the shards that a process of this machine has verified, so that its other processes need not hash them.

A note counts while the file has the same inode, size and times, and until the machine starts again. Where the machine
does not say when it started, or the cache cannot be written, every process verifies for itself.
"""

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from restorekit.shards.manifest import Shard, ShardManifest
from restorekit.storage import cache_root

BOOT = Path("/proc/sys/kernel/random/boot_id")  # another value after each start of the machine
SETTLED_S = 2.0  # a file that changed later than this before it was read may change again without a trace in its times
LOCKS = 16  # for the shards of a folder


def verify_once(manifest: ShardManifest, folder: Path, number: int, settled_s: float = SETTLED_S) -> Path:
    """The path of shard `number` of `folder`, verified against the manifest by this process or one before it.

    While one process reads a shard, others that need it wait.
    """
    shard = manifest.shards[number]
    notes = _notes_of(folder)
    if notes is None:
        return manifest.verify(folder, shard)
    note = notes / f"{number}.json"
    if _is_noted(note, folder, shard):
        return folder / shard.name
    with FileLock(notes / f"{number % LOCKS}.lock"):
        if not _is_noted(note, folder, shard):
            before = _state_of(folder / shard.name)
            state = _state_of(manifest.verify(folder, shard))
            # A file that was fetched just now, or that somebody writes, is noted by the next process.
            if state is not None and state == before and time.time() - state["changed_ns"] / 1e9 > settled_s:
                _write(note, {**state, "sha256": shard.sha256})
    return folder / shard.name


def _notes_of(folder: Path) -> Path | None:
    """The folder of this start of the machine for notes on `folder`; those of earlier starts are removed."""
    try:
        boot = BOOT.read_text().strip()
        root = cache_root() / ".verified"
        notes = root / boot / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
        if not notes.is_dir():
            notes.mkdir(parents=True)
            for earlier in root.iterdir():
                if earlier.name != boot:
                    shutil.rmtree(earlier, ignore_errors=True)
    except OSError:
        return None
    return notes


def _is_noted(note: Path, folder: Path, shard: Shard) -> bool:
    try:
        noted = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return False
    state = _state_of(folder / shard.name)
    return state is not None and noted == {**state, "sha256": shard.sha256}


def _state_of(path: Path) -> dict[str, int] | None:
    with suppress(OSError):
        found = path.stat()
        return {
            "inode": found.st_ino, "bytes": found.st_size,
            "written_ns": found.st_mtime_ns, "changed_ns": found.st_ctime_ns,
        }  # fmt: skip
    return None


def _write(note: Path, value: dict[str, object]) -> None:
    partial = note.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):  # without a note the next process verifies, too
        partial.write_text(json.dumps(value))
        partial.replace(note)
