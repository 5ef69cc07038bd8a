"""The check that a training stays finite, without a wait in a step: the host reads a step's answer one step later.

An update whose gradient is not finite changes no weight (see Learner.update), so nothing is lost by the delay. Figures,
states and validations ask for all answers first, and then for the averaged weights: a finite gradient can still make a
weight infinite, which leaves its average NaN for ever. So no state and no export holds such a weight.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.training.world import World


@dataclass(frozen=True)
class _Update:
    step: int
    keys: tuple[str, ...]  # of this rank's samples
    losses: dict[str, Tensor]  # of this rank
    finite: Tensor  # on the host once `copied` has happened; the same on every rank
    copied: torch.Event | None


class FiniteCheck:
    """The answers that are still on their way from the device. Every rank calls its methods at the same steps."""

    def __init__(self, world: World, averages: Callable[[], Iterable[Tensor]]) -> None:
        """`averages` gives the averaged weights of the time of the call."""
        self._world, self._averages, self._step = world, averages, 0
        self._updates: deque[_Update] = deque()

    def expect(self, step: int, keys: tuple[str, ...], losses: dict[str, Tensor], finite: Tensor) -> None:
        """Sends for the answer of an update, and reads the one of the update before."""
        self._step = step
        on_host, copied = finite.to("cpu", non_blocking=True), None
        if finite.device.type != "cpu":
            copied = torch.Event(finite.device)
            copied.record()
        self._updates.append(_Update(step, keys, losses, on_host, copied))
        self._read(but=1)

    def catch_up(self) -> None:
        """Reads all answers. Returns if gradients and averages are finite so far, else raises RestorekitError."""
        self._read(but=0)
        if not self._world.all(torch.isfinite(nn.utils.get_total_norm(self._averages(), math.inf))):
            raise RestorekitError(
                f"step {self._step}: the weights are not finite, though the gradients are. The states saved before "
                f"this step are kept; lower train.lr"
            )

    def _read(self, but: int) -> None:
        while len(self._updates) > but:
            update = self._updates.popleft()
            if update.copied is not None:
                update.copied.synchronize()
            if not update.finite:
                raise self._explained(update)

    def _explained(self, update: _Update) -> RestorekitError:
        own = {name: value.item() for name, value in update.losses.items() if name.startswith(("loss/", "critic/"))}
        found: list[tuple[tuple[str, ...], dict[str, float]]] = self._world.gather((update.keys, own))
        guilty = [one for one in found if not all(map(math.isfinite, one[1].values()))] or found
        keys = ", ".join(key for of_rank, _ in guilty for key in of_rank)
        values = ", ".join(f"{name} {value:g}" for name, value in guilty[0][1].items())
        return RestorekitError(
            f"step {update.step}, samples {keys}: the gradient is not finite ({values}). The states saved before this "
            f"step are kept; lower train.lr, or train with precision: fp32"
        )
