"""The world of a training: this rank among all ranks, and how its device computes."""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restorekit.config import Precision
from restorekit.models.precision import is_imitated, resolved


@dataclass(frozen=True)
class World:
    """This process among those that train together. Every rank calls each method that takes or gives a value."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def place(self) -> tuple[int, int]:
        """(this rank, number of ranks)."""
        return self.rank, self.size

    def wait(self) -> None:
        """Returns after every rank has called `wait`."""
        if self.size > 1:
            torch.distributed.barrier()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, on the CPU where there are several."""
        if self.size == 1:
            return values
        on_device = values.to(self.device)
        torch.distributed.all_reduce(on_device)
        return on_device.cpu()

    def all(self, flag: Tensor) -> bool:
        """Whether `flag`, a boolean scalar, is true on every rank."""
        return bool(self.everywhere(flag.to(self.device)))

    def everywhere(self, flag: Tensor) -> Tensor:
        """`flag`, a boolean scalar on the device, if it is true on every rank, else false; the host does not wait."""
        if self.size == 1:
            return flag
        lowest = flag.float()
        torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN)
        return lowest > 0

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank, in the order of ranks."""
        everyone: list[Any] = [value] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(everyone, value)
        return everyone

    def first_answers(self, answer: bool) -> bool:
        """The first rank's answer, on every rank."""
        answers = [answer]
        if self.size > 1:
            torch.distributed.broadcast_object_list(answers)
        return answers[0]

    def data_parallel(self, module: nn.Module) -> nn.Module:
        """`module` with gradients that are averaged over the ranks; `module` itself where there is one rank."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)


def agreed(precision: Precision, world: World) -> Precision:
    """The precision that all ranks compute in: fp32 where "auto" means fp32 on one of them. Every rank calls it."""
    own = resolved(precision, world.device)
    return own if world.all(torch.tensor(own != "fp32")) else "fp32"


def tune(device: torch.device, tf32: bool) -> None:
    """Sets how this process computes on a GPU: the fastest convolution for each shape, and TF32 only where asked for.

    Torch's own default is TF32 for convolutions and none for matrix products. Timing chooses the convolutions, so that
    two trainings on GPUs may differ by rounding.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision("high" if tf32 else "highest")


def precision_warning(precision: Precision, device: torch.device) -> str | None:
    """A line for the user where `device` only imitates `precision`, else None."""
    if precision == "bf16" and is_imitated(precision, device):
        name = "GPU" if device.type == "cuda" else "processor"
        return f"warning: this {name} has no bfloat16 and takes several times as long; set precision: auto"
    return None


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` compiled, with the same parameters; `network` itself where torch.compile does not work for `device`."""
    return network if compile_warning(device.type) else cast(nn.Module, torch.compile(network))


@cache
def compile_warning(device: str) -> str | None:
    """A line that says why torch.compile fails here for "cpu" or "cuda"; None where it compiled a small function."""
    try:
        torch.compile(lambda values: values.sin() + 1)(torch.zeros(8, device=device))
    except RuntimeError as error:
        first_line = str(error).strip().partition("\n")[0]
        return (
            f"warning: compile: true has no effect, the training goes on uncompiled and slower "
            f"({type(error).__name__}: {first_line}); torch.compile needs a C++ compiler, for example from "
            f"`apt-get install g++ python3-dev`"
        )
    return None
