"""The numbers a training computes in, on this device."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # what x86 and ARM call their instructions for it


def computed_in(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of mixed precision; "auto" is bfloat16 where `device` has it in hardware, else float32.

    A processor that has not, such as one with AVX2 alone, takes ten times as long for a step in bfloat16.
    """
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_it = any(capabilities.get(name, False) for name in CPU_BF16)
    return torch.bfloat16 if has_it else torch.float32


def mixed(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """In it networks compute in what `computed_in` gives."""
    dtype = computed_in(precision, device)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def precision_warning(precision: Precision, device: torch.device) -> str | None:
    """A line for the user where `precision` is one that `device` only imitates."""
    if precision == "bf16" and computed_in("auto", device) is torch.float32:
        return f"warning: this {device.type} has no bfloat16 and takes several times as long; set precision: auto"
    return None
