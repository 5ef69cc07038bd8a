"""A lease on a training's states in object storage: one writer at a time; the uploads of a stale writer are ignored.

A process takes the lease by creating the next token, a file that must not exist yet: of two processes, one fails. A
token lists the states that were valid when the token was made. From then on, only those states and the states pushed by
the token's holder count. So a holder that was taken for dead but still pushes changes nothing, even if it read the
newest token just before another process took the lease.
"""

import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from restorekit.errors import RestorekitError
from restorekit.files import write_atomically
from restorekit.storage import Remote, cache_root, machine_lock, remote_of
from restorekit.training.state import LOCK_WAIT_S, StateStore

LOOK_S = 0.5
BEAT_S = 3.0
SILENCE_S = 15.0  # a holder without a heartbeat for so long is taken for dead
RECORD = "state.json"  # pushed last: a state without it does not count
IS_STATE = re.compile(r"[a-z]+-\d{8}-\d{6}").fullmatch
WIDTH = 6  # digits of a token, so that names sort


class RemoteStates:
    """The stored states of one training; only the holder of the lease pushes and drops."""

    def __init__(self, remote: Remote, silence_s: float = SILENCE_S, owner: str | None = None) -> None:
        """`owner` names the machine that holds the lease, by default this machine."""
        self._remote, self._silence_s, self._owner = remote, silence_s, owner
        self._token: int | None = None

    @contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """Holds the lease; waits for the present holder to end or fall silent, then raises RestorekitError.

        The caller has locked the local folder, so that an earlier holder on this machine is known to be dead.
        """
        self._token = self._take(wait_s)
        stop = threading.Event()
        beating = threading.Thread(target=self._beat, args=(self._token, stop), daemon=True)
        beating.start()
        try:
            yield
        finally:
            stop.set()
            beating.join()
            token, self._token = self._token, None
            with suppress(RestorekitError):  # without this file the next process waits out the silence
                self._file(token, "end").write(b"")

    @property
    def suffix(self) -> str:
        """The ending of a new state's name: the token of the lease."""
        assert self._token is not None, "only the holder of the lease writes states"
        return f"-{self._token:0{WIDTH}d}"

    def valid(self) -> list[str]:
        """The names of the states that count, the oldest first."""
        newest = self._newest()
        if newest is None:
            return []
        inherited = set(json.loads(self._file(newest, "json").read() or b"{}").get("states", ()))
        names = [name for name in self._remote.names() if IS_STATE(name)]
        names = [name for name in names if name in inherited or name.endswith(f"-{newest:0{WIDTH}d}")]
        return [name for name in names if RECORD in (self._remote / name).names()]

    def fetch(self, folder: Path) -> None:
        """Makes `folder` from the stored state of the same name, unless it exists; the caller verifies the state."""
        with machine_lock(folder):
            if not (folder / RECORD).exists():
                with write_atomically(folder) as partial:
                    for name in (self._remote / folder.name).names():
                        (self._remote / folder.name / name).get(partial / name)
            counted, newest = self.valid(), self._newest()
            for other in folder.parent.iterdir():
                ours = other.name in counted or other.name.endswith(f"-{newest:0{WIDTH}d}")
                if IS_STATE(other.name) and not ours:
                    shutil.rmtree(other)  # a leftover of an earlier training on this machine

    def push(self, folder: Path) -> None:
        """Stores a state, its record last; raises RestorekitError where the lease was lost."""
        for file in sorted(folder.iterdir(), key=lambda file: file.name == RECORD):
            if self._newest() != self._token:
                raise RestorekitError(
                    f"another training of the same run has taken over {self._remote.address}: this one ends and its "
                    f"last state was not kept"
                )
            (self._remote / folder.name / file.name).put(file)

    def drop(self, name: str) -> None:
        """Removes a state, its record first."""
        (self._remote / name / RECORD).remove()
        (self._remote / name).remove()

    def _take(self, wait_s: float) -> int:
        began = since = time.monotonic()
        heard: tuple[int, bytes | None] | None = None
        while True:
            newest = self._newest()
            beat = (newest or 0, None if newest is None else self._file(newest, "beat").read())
            if beat != heard:
                heard, since = beat, time.monotonic()
            if newest is None or self._is_over(newest) or time.monotonic() - since > self._silence_s:
                valid = self.valid()
                token = (newest or 0) + 1
                record = {"owner": self._owner or this_machine(), "states": valid}
                if self._file(token, "json").create(json.dumps(record).encode()):
                    self._clear(set(valid), token)
                    return token
            elif time.monotonic() - began > wait_s:
                raise RestorekitError(
                    f"{self._remote.address} is in use by another training of the same run: wait for it to end, "
                    f"or stop it"
                )
            time.sleep(LOOK_S)

    def _is_over(self, token: int) -> bool:
        """Whether the holder has ended: by its note, or by its place on this machine, whose lock this process holds."""
        if self._file(token, "end").size() is not None:
            return True
        return bool(
            json.loads(self._file(token, "json").read() or b"{}").get("owner") == (self._owner or this_machine())
        )

    def _clear(self, valid: set[str], token: int) -> None:
        """Drops partly pushed states and the files of older tokens."""
        for name in self._remote.names():
            if IS_STATE(name) and name not in valid:
                self.drop(name)
        for name in (self._remote / "lease").names():
            if name.partition(".")[0].isdigit() and int(name.partition(".")[0]) < token:
                (self._remote / "lease" / name).remove()

    def _beat(self, token: int, stop: threading.Event) -> None:
        number = 0
        while not stop.wait(BEAT_S if number else 0.0):
            number += 1
            try:
                self._file(token, "beat").write(str(number).encode())
            except RestorekitError:
                continue  # the next push reports a storage that does not answer; another may take over meanwhile

    def _newest(self) -> int | None:
        """The highest token, or None before the first lease; the files of lower tokens may be gone."""
        names = [name for name in (self._remote / "lease").names() if name.endswith(".json")]
        return max((int(name.removesuffix(".json")) for name in names), default=None)

    def _file(self, token: int, kind: str) -> Remote:
        return self._remote / "lease" / f"{token:0{WIDTH}d}.{kind}"


def open_states(folder: Path, lock_wait_s: float = LOCK_WAIT_S) -> StateStore:
    """The states of a training; for a folder that mirrors a storage, states are fetched, and pushed under a lease."""
    remote = remote_of(folder)
    return StateStore(folder, lock_wait_s, None if remote is None else RemoteStates(remote))


def this_machine() -> str:
    """The name of this machine's cache: a random one, drawn once."""
    mark = cache_root() / ".machine"
    with machine_lock(mark):
        if not mark.exists():
            with write_atomically(mark) as partial:
                partial.write_text(uuid.uuid4().hex)
    return mark.read_text()
