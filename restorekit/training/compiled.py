"""torch.compile where this machine can: it builds with a compiler that a machine need not have."""

import sys
from functools import cache
from typing import cast

import torch
from torch import nn


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` compiled, with the same weights; itself, and a warning, where nothing can be compiled for `device`."""
    failure = _failure(device.type)
    if failure is None:
        return cast(nn.Module, torch.compile(network))
    print(
        f"warning: compile: true has no effect, training goes on without, slower ({failure}); "
        "it needs a C++ compiler, as of `apt-get install g++ python3-dev`",
        file=sys.stderr,
    )
    return network


@cache
def _failure(device: str) -> str | None:
    """What keeps one small function from being compiled, in a line; None where it was."""
    try:
        torch.compile(lambda values: values.sin() + 1)(torch.zeros(8, device=device))
    except RuntimeError as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return None
