"""The numbers that a training computes in: those named in params.yaml, or what the device is fast with."""

from contextlib import AbstractContextManager

import torch

from restorekit.config import Precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # what x86 and ARM call their instructions for it


def resolved(precision: Precision, device: torch.device) -> Precision:
    """What "auto" is on `device`: bf16 where it has that in hardware, else fp32; another `precision` is itself.

    A processor that has not, with AVX2 alone, took 10 to 12 times as long for a gradient of DAKD in bf16 as in fp32.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_it = any(capabilities.get(name, False) for name in CPU_BF16)
    return "bf16" if has_it else "fp32"


def agreed(precision: Precision, device: torch.device, num_ranks: int) -> Precision:
    """What `precision` is for all ranks, each of which calls it: fp32 where "auto" is that on one of them."""
    own = resolved(precision, device)
    if num_ranks == 1:
        return own
    mixes = torch.tensor(float(own != "fp32"), device=device)
    torch.distributed.all_reduce(mixes, torch.distributed.ReduceOp.MIN)
    return own if mixes else "fp32"


def mixed(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """In it networks compute in what `precision` is on `device`."""
    dtype = DTYPES[resolved(precision, device)]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def precision_warning(precision: Precision, device: torch.device) -> str | None:
    """A line for the user where `precision` is one that `device` only imitates."""
    if precision == "bf16" and resolved("auto", device) == "fp32":
        name = "GPU" if device.type == "cuda" else "processor"
        return f"warning: this {name} has no bfloat16 and takes several times as long; set precision: auto"
    return None
