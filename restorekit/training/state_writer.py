"""Writes states in a thread, one at a time, while the training goes on.

A state is copied to the host's memory first, so the steps that follow change nothing in it. An error of a write is
raised in the training: at the next step, before the next state, or at the end, which waits for the last write.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

import torch

from restorekit.errors import RestorekitError
from restorekit.training.state import TrainingState

Save = Callable[[TrainingState], object]


class StateWriter:
    """A context around a training; at its end the last state is on disk, or the error of its write is raised."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "states")
        self._write: Future[None] | None = None

    def start(self, state: TrainingState, *saves: Save) -> None:
        """Copies a state, and has each of `saves` write the copy, one after the other.

        Waits for the write before, and raises its error. The host does not wait for the device.
        """
        self.settle()
        copied = replace(state, tensors={name: _to_host(tensor) for name, tensor in state.tensors.items()})
        device = next((tensor.device for tensor in state.tensors.values() if tensor.device.type != "cpu"), None)
        arrived = None
        if device is not None:
            arrived = torch.Event(device)
            arrived.record()
        self._write = self._thread.submit(_write, copied, arrived, saves)

    def check(self) -> None:
        """Raises the error of a write that has ended; does not wait."""
        if self._write is not None and self._write.done():
            self.settle()

    def settle(self) -> None:
        """Returns after the state before is on disk; raises the error of its write."""
        write, self._write = self._write, None
        if write is not None:
            write.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.settle()
        except RestorekitError as unwritten:
            if error is None:
                raise
            raise RestorekitError(f"{error}\nand {unwritten}") from error
        finally:
            self._thread.shutdown()


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in the host's memory; of a GPU's tensor in pinned memory, complete after the work that is queued now."""
    return tensor.detach().to("cpu", non_blocking=True, copy=True)


def _write(state: TrainingState, arrived: torch.Event | None, saves: tuple[Save, ...]) -> None:
    if arrived is not None:
        arrived.synchronize()
    for save in saves:
        save(state)
