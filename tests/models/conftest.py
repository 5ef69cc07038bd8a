"""Fixtures of the network tests: networks with lively random weights, and a meter of live memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from restorekit.config.dmgn import DmgnOptions
from restorekit.models.dmgn import DMGN


def enliven(module: nn.Module) -> None:
    """Draws weights that keep a signal's magnitude, so that a wrong layer changes the output."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


@pytest.fixture
def lively() -> Callable[..., DMGN]:
    def build(**options: Any) -> DMGN:
        model = DMGN(DmgnOptions(**options))
        if model.head.trunk is not None:
            enliven(model.head.trunk)
        return model

    return build


class LiveMemory(TorchDispatchMode):
    """Measures the tensors alive at once, except those in `known`; a kernel's own workspace is not counted."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._known = {StorageWeakRef(tensor.untyped_storage()).cdata for tensor in known}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                reference = StorageWeakRef(storage)
                if reference.cdata not in self._known:
                    self._alive[reference.cdata] = (reference, storage.nbytes())
        self._alive = {key: value for key, value in self._alive.items() if not value[0].expired()}
        self.peak_bytes = max(self.peak_bytes, sum(nbytes for _, nbytes in self._alive.values()))
        return made


@pytest.fixture
def peak_bytes() -> Callable[[Callable[[], Any], list[Tensor]], int]:
    """A function that measures the peak bytes of the tensors that a call creates."""

    def measure(call: Callable[[], Any], known: list[Tensor]) -> int:
        with LiveMemory(known) as meter:
            call()
        return meter.peak_bytes

    return measure


@pytest.fixture(scope="session")
def released_keys() -> dict[str, tuple[tuple[int, ...], str]]:
    """Key -> (shape, status) of the authors' 294 tensors."""
    rows = (Path(__file__).parent / "dmgn_state_dict.txt").read_text().splitlines()
    table = [row.split("\t") for row in rows if not row.startswith("#")]
    return {key: (tuple(int(side) for side in shape.strip("[]").split(",")), status) for key, shape, status in table}
