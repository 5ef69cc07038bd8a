"""The device and the precision that a network restores in, both checked before a photo is read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from restorekit.config import Precision
from restorekit.errors import RestorekitError
from restorekit.models.precision import is_imitated, mixed, resolved

_NAMES = re.compile(r"cpu|cuda(:\d+)?")


def find_device(name: str) -> torch.device:
    """The device "cpu", "cuda" or "cuda:1". A RestorekitError where the name is another or this machine lacks it."""
    if not _NAMES.fullmatch(name):
        raise RestorekitError(f"unknown device '{name}': take cpu, cuda, or cuda:1 for the second GPU")
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise RestorekitError(f"there is no GPU here for device '{name}': take cpu")
        count = torch.cuda.device_count()
        if device.index is not None and device.index >= count:
            known = "the only GPU here is cuda:0" if count == 1 else f"the GPUs here are cuda:0 to cuda:{count - 1}"
            raise RestorekitError(f"there is no device '{name}': {known}")
    return device


def imitation_note(precision: Precision, device: torch.device) -> str | None:
    """A line for the user where `device` only imitates `precision`, else None."""
    if not is_imitated(precision, device):
        return None
    name = "GPU" if device.type == "cuda" else "processor"
    return f"this {name} only imitates {precision} and takes several times as long as in fp32: take auto or fp32"


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """A context in which networks compute in `precision`. In fp32, a GPU rounds no factor to TF32's ten bits."""
    exactly = device.type == "cuda" and resolved(precision, device) == "fp32"
    flags = torch.backends.cudnn.flags(torch.backends.cudnn.enabled, allow_tf32=False) if exactly else nullcontext()
    with flags, mixed(precision, device):
        yield
