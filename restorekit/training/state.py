"""A training's state is on disk whole and verified, or not at all, and one process at a time writes it.

A state is a folder `step-00000120/` of one safetensors file (weights, EMA, optimisers, random state) and one JSON file
(step, cursor, progress through the phases, the tensors' digest). It is written beside its place and renamed; the last
two are kept, and as `best-00000100/` the one that validated best. Below an address (see restorekit.storage) a state is
then pushed, and those that count are the ones that restorekit.training.lease says.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from restorekit.errors import RestorekitError
from restorekit.files import flush_to_disk, sha256_file, write_beside
from restorekit.shards.plan import Cursor
from restorekit.training.lease import remote_states
from restorekit.training.phases import Progress

FORMAT = 3
KEPT = 2
LAST, BEST = "step", "best"  # the kinds of state, and how their folders begin
LOCK_WAIT_S = 60.0  # an orphan of a killed run ends within seconds of its Ray


@dataclass(frozen=True)
class TrainingState:
    """Everything a loop needs to go on: `tensors` by dotted name, the step, the data's cursor, and the phase."""

    step: int
    cursor: Cursor
    tensors: dict[str, Tensor]
    progress: Progress
    precision: str  # what it was computed in when it was saved: "fp32", "bf16" or "fp16"


class StateStore:
    """The states of one training in one folder."""

    def __init__(self, folder: Path, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self.folder, self._lock_wait_s = folder, lock_wait_s
        self._remote = remote_states(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; waits for an orphaned predecessor to end, then gives up with a message."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=self._lock_wait_s)
        except Timeout:
            raise RestorekitError(
                f"{self.folder} is in use by another training of the same run: wait for it to end, or stop it"
            ) from None
        try:
            with self._remote.held(self._lock_wait_s) if self._remote else nullcontext():
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
        """Writes a state as the best so far and drops the one before it."""
        path = self._write(state, BEST)
        for other in self._folders(BEST):
            if other != path:
                self._drop(other)
        return path

    def _write(self, state: TrainingState, kind: str) -> Path:
        path = self.folder / f"{kind}-{state.step:08d}{self._remote.suffix if self._remote else ''}"
        with _room_needed(state.step, self.folder), write_beside(path) as beside:
            beside.mkdir()
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
            save_file(tensors, beside / "tensors.safetensors")
            record = {
                "format": FORMAT, "step": state.step, "cursor": asdict(state.cursor),
                "progress": asdict(state.progress), "precision": state.precision,
                "sha256": sha256_file(beside / "tensors.safetensors"),
            }  # fmt: skip
            (beside / "state.json").write_text(json.dumps(record, indent=1))
            for file in beside.iterdir():
                flush_to_disk(file)
        if self._remote:
            self._remote.push(path)
        return path

    def _drop(self, folder: Path) -> None:
        if self._remote:
            self._remote.drop(folder.name)
        if folder.exists():  # of a stored state this machine may have no copy
            shutil.rmtree(folder)

    def load_latest(self) -> TrainingState | None:
        """The newest state that verifies; a damaged one is named on stderr and the one before it taken."""
        return self._load_newest(LAST)

    def load_best(self) -> TrainingState | None:
        """The state that validated best, verified; None before the first validation."""
        return self._load_newest(BEST)

    def _load_newest(self, kind: str) -> TrainingState | None:
        folders = self._folders(kind)
        for folder in reversed(folders):
            try:
                return self._fetched(folder)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                print(f"warning: the training state {folder} is damaged and left out ({error})", file=sys.stderr)
        if folders:
            raise RestorekitError(f"no training state in {self.folder} can be read: remove that folder to train anew")
        return None

    def _fetched(self, folder: Path) -> TrainingState:
        if self._remote is None:
            return _load(folder)
        self._remote.fetch(folder)
        try:
            return _load(folder)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            shutil.rmtree(folder)  # this machine's copy; what is stored may be sound
            self._remote.fetch(folder)
            return _load(folder)

    def latest_step(self) -> int | None:
        """The step of the newest state, unverified."""
        folders = self._folders(LAST)
        return int(folders[-1].name.split("-")[1]) if folders else None

    def _folders(self, kind: str) -> list[Path]:
        if self._remote:
            return [self.folder / name for name in self._remote.valid() if name.startswith(f"{kind}-")]
        return sorted(path for path in self.folder.glob(f"{kind}-*") if path.is_dir())


@contextmanager
def _room_needed(step: int, folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise RestorekitError(
            f"the state of step {step} could not be written to {folder} ({error}): make room there and run the same "
            f"command again, it goes on from the state before"
        ) from error


def _load(folder: Path) -> TrainingState:
    record: dict[str, Any] = json.loads((folder / "state.json").read_text())
    if record["format"] != FORMAT:
        raise ValueError(f"format {record['format']}, this version reads {FORMAT}")
    tensors = folder / "tensors.safetensors"
    if sha256_file(tensors) != record["sha256"]:
        raise ValueError("its tensors are not those that were written")
    cursor = record["cursor"]
    cursor["ranges"] = tuple((int(start), int(stop)) for start, stop in cursor["ranges"])
    return TrainingState(
        int(record["step"]), Cursor(**cursor), load_file(tensors), Progress(**record["progress"]), record["precision"]
    )


def pack(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Prefixes every name: `pack("model", {"w": t})` is `{"model.w": t}`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def unpack(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's per-parameter state as tensors; its settings come from the parameters file."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` took out."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
