"""torch.compile where this machine can: it builds with a compiler that a machine need not have."""

from functools import cache
from typing import cast

import torch
from torch import nn


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` compiled, with the same weights; itself where nothing can be compiled for `device`."""
    return network if compile_warning(device.type) else cast(nn.Module, torch.compile(network))


@cache
def compile_warning(device: str) -> str | None:
    """Why nothing can be compiled for "cpu" or "cuda" here, in a line for the user; None where a small function was."""
    try:
        torch.compile(lambda values: values.sin() + 1)(torch.zeros(8, device=device))
    except RuntimeError as error:
        first_line = str(error).strip().partition("\n")[0]
        return (
            f"warning: compile: true has no effect, training goes on without, slower ({type(error).__name__}: "
            f"{first_line}); it needs a C++ compiler, as of `apt-get install g++ python3-dev`"
        )
    return None
