"""States of a training, written by one process at a time: on disk as a whole and verified, or not at all.

A state is a folder `step-00000120/` with one safetensors file (weights, EMA, optimisers, loss scale) and one JSON file
(step, cursor, progress through the phases, digest of the tensors). A state is written under another name and renamed.
The store keeps the last two states, and the state that validated best as `best-00000100/`. Below an address (see
restorekit.storage) the store also pushes each state, and `Pushed` lists the pushed states that count.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from restorekit.errors import RestorekitError
from restorekit.files import flush_to_disk, parse_json, sha256_file, write_atomically
from restorekit.shards.plan import Cursor
from restorekit.storage import remote_of
from restorekit.training.phases import Progress

FORMAT = 4
KEPT = 2
LAST, BEST = "step", "best"  # the kinds of state: prefixes of the folders' names
LOCK_WAIT_S = 60.0  # the orphaned worker of a killed run ends within seconds of its Ray


@dataclass(frozen=True)
class TrainingState:
    """The state from which a loop continues: tensors by dotted name, the step, the data's cursor, the phase."""

    step: int
    cursor: Cursor
    tensors: dict[str, Tensor]
    progress: Progress
    precision: str  # of the computation when the state was saved: "fp32", "bf16" or "fp16"


class Pushed(Protocol):
    """The states of one training in an object storage; see restorekit.distributed.lease."""

    @property
    def suffix(self) -> str:
        """The ending of a new state's name."""

    def held(self, wait_s: float) -> AbstractContextManager[None]:
        """A context in which this process alone may push and drop states."""

    def valid(self) -> list[str]:
        """The names of the states that count, the oldest first."""

    def fetch(self, folder: Path) -> None:
        """Makes `folder` from the stored state of the same name, unless `folder` exists."""

    def push(self, folder: Path) -> None:
        """Stores a state."""

    def drop(self, name: str) -> None:
        """Removes a state."""


class StateStore:
    """The states of one training in one folder."""

    def __init__(self, folder: Path, lock_wait_s: float = LOCK_WAIT_S, pushed: Pushed | None = None) -> None:
        """`pushed` is needed for a folder that mirrors a storage; see restorekit.distributed.lease."""
        assert pushed is not None or remote_of(folder) is None, f"{folder} mirrors a storage"
        self.folder, self._lock_wait_s, self._pushed = folder, lock_wait_s, pushed

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; waits for an orphaned predecessor to end, then raises RestorekitError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=self._lock_wait_s)
        except Timeout:
            raise RestorekitError(
                f"{self.folder} is in use by another training of the same run: wait for it to end, or stop it"
            ) from None
        try:
            with self._pushed.held(self._lock_wait_s) if self._pushed else nullcontext():
                yield
        finally:
            lock.release()

    def save(self, state: TrainingState) -> Path:
        """Writes a state and drops all but the last two."""
        path = self._write(state, LAST)
        for old in self._folders(LAST)[:-KEPT]:
            self._drop(old)
        return path

    def save_best(self, state: TrainingState) -> Path:
        """Writes a state as the best so far and drops the previous best."""
        path = self._write(state, BEST)
        for other in self._folders(BEST):
            if other != path:
                self._drop(other)
        return path

    def save_once(self, state: TrainingState) -> None:
        """Locks the folder and writes a state, unless the folder holds one."""
        with self.locked():
            if self.latest_step() is None:
                self.save(state)

    def _write(self, state: TrainingState, kind: str) -> Path:
        path = self.folder / f"{kind}-{state.step:08d}{self._pushed.suffix if self._pushed else ''}"
        with _asking_for_room(state.step, self.folder), write_atomically(path) as partial:
            partial.mkdir()
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
            save_file(tensors, partial / "tensors.safetensors")
            record = {
                "format": FORMAT, "step": state.step, "cursor": asdict(state.cursor),
                "progress": asdict(state.progress), "precision": state.precision,
                "sha256": sha256_file(partial / "tensors.safetensors"),
            }  # fmt: skip
            (partial / "state.json").write_text(json.dumps(record, indent=1))
            for file in partial.iterdir():
                flush_to_disk(file)
        if self._pushed:
            self._pushed.push(path)
        return path

    def _drop(self, folder: Path) -> None:
        if self._pushed:
            self._pushed.drop(folder.name)
        if folder.exists():  # this machine may have no copy of a pushed state
            shutil.rmtree(folder)

    def load_latest(self) -> TrainingState | None:
        """The newest state that verifies; damaged states are reported on stderr and skipped."""
        return self._load_newest(LAST)

    def load_best(self) -> TrainingState | None:
        """The state that validated best, verified; None before the first."""
        return self._load_newest(BEST)

    def _load_newest(self, kind: str) -> TrainingState | None:
        folders = self._folders(kind)
        for folder in reversed(folders):
            try:
                return self._fetched(folder)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                print(f"warning: skipped the training state {folder}, which is damaged ({error})", file=sys.stderr)
        if folders:
            raise RestorekitError(
                f"no training state in {self.folder} can be read: remove the folder to train from the start"
            )
        return None

    def _fetched(self, folder: Path) -> TrainingState:
        if self._pushed is None:
            return _load(folder)
        self._pushed.fetch(folder)
        try:
            return _load(folder)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            shutil.rmtree(folder)  # this machine's copy is damaged, the stored copy may be good
            self._pushed.fetch(folder)
            return _load(folder)

    def latest_step(self) -> int | None:
        """The step of the newest state, unverified."""
        folders = self._folders(LAST)
        return int(folders[-1].name.split("-")[1]) if folders else None

    def _folders(self, kind: str) -> list[Path]:
        if self._pushed:
            return [self.folder / name for name in self._pushed.valid() if name.startswith(f"{kind}-")]
        return sorted(path for path in self.folder.glob(f"{kind}-*") if path.is_dir())


@contextmanager
def _asking_for_room(step: int, folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise RestorekitError(
            f"the state of step {step} could not be written to {folder} ({error}): make room there and run the same "
            f"command again; the training goes on from the state before"
        ) from error


def _load(folder: Path) -> TrainingState:
    record: dict[str, Any] = parse_json((folder / "state.json").read_bytes())
    if record["format"] != FORMAT:
        raise ValueError(f"format {record['format']}, this version reads {FORMAT}")
    tensors = folder / "tensors.safetensors"
    if sha256_file(tensors) != record["sha256"]:
        raise ValueError("the SHA-256 of its tensors differs from the recorded one")
    cursor = record["cursor"]
    cursor["ranges"] = tuple((int(start), int(stop)) for start, stop in cursor["ranges"])
    if min(record["step"], cursor["epoch"], cursor["step"], cursor["batch_size"] - 1) < 0:
        raise ValueError("its place in the training is before the start")
    loaded = load_file(tensors)
    for name, values in loaded.items():
        if not name.startswith(("optimizer.", "critic_optimizer.")) and not torch.isfinite(values).all():
            raise ValueError(f"'{name}' is not finite")
    return TrainingState(
        int(record["step"]), Cursor(**cursor), loaded, Progress(**record["progress"]), record["precision"]
    )


def pack(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Prefixes every name: `pack("model", {"w": t})` is `{"model.w": t}`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def unpack(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state of each parameter as tensors, without its settings, which params.yaml holds."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Loads the tensors of `optimizer_tensors` into an optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
