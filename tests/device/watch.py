"""Watches operations on a CUDA device that computes nothing: launches, waits, blocking copies, missing kernels.

Torch's fake tensors have a shape, a type and a device, and no values: an operation on them only checks that it could
run. Import this module in a process that has loaded the library of fake_cuda.cpp before torch.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torchgen
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

ATEN = torch.ops.aten
DEVICE = torch.device("cuda", 0)
ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
NO_LAUNCH = ALLOCATIONS | {"_unsafe_view", "_reshape_alias", "lift_fresh", "set_", "resize_"}  # and views
# Keys of native_functions.yaml whose kernels run on CUDA.
ON_CUDA = {"CUDA", "CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional"}
# CUDA's kernels of these return NCHW, whatever the layout of their input; the meta kernels keep the input's layout.
TO_NCHW = {ATEN.reflection_pad2d.default, ATEN.replication_pad2d.default}


class Watch(TorchDispatchMode):
    """Counts and places of the operations that ran on the device since the last `clear`."""

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()  # of the host for the device, by place
        self.copies: Counter[str] = Counter()  # between host and device that block the host
        self.without_kernel: set[str] = set()
        self.turned: Counter[str] = Counter()  # convolutions of NCHW maps

    @property
    def num_launches(self) -> int:
        return sum(self.launches.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace != "aten":  # a question to the tensor, such as its device
            return func(*args, **kwargs)
        if torch.is_inference_mode_enabled():  # operations made of others come as they are
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        if func is ATEN._local_scalar_dense.default:
            if args[0].device.type == "cuda":
                self.waits[place()] += 1
            return True if args[0].dtype is torch.bool else 1.0
        if func is ATEN._pin_memory.default:
            pinned = args[0].clone()
            pinned.is_pinned_here = True
            return pinned
        if func in (ATEN.convolution.default, ATEN.convolution_backward.default):
            self._note_layout(args[1] if func is ATEN.convolution_backward.default else args[0])
        out = func(*args, **kwargs)
        if func in TO_NCHW and out.device.type == "cuda":
            out = out.contiguous()
        self._note_copy(func, args, kwargs, out)
        if on_device(args) or on_device(out):
            name = func.overloadpacket.__name__
            if name not in cuda_operations():
                self.without_kernel.add(name)
            if not func.is_view and name not in NO_LAUNCH:
                self.launches[name] += 1
        return out

    def _note_copy(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        if func is ATEN._to_copy.default:
            source, target, frees_host = args[0], out, kwargs.get("non_blocking", False)
            frees_host &= target.device.type == "cpu" or hasattr(source, "is_pinned_here")
        elif func is ATEN.copy_.default:
            target, source, frees_host = args[0], args[1], (*args, False)[2] or kwargs.get("non_blocking", False)
        else:
            return
        if source.device != target.device and not frees_host:
            self.copies[f"{place()} {source.device.type} to {target.device.type}"] += 1

    def _note_layout(self, maps: Tensor) -> None:
        wide = maps.ndim == 4 and maps.shape[1] > 3 and min(maps.shape[-2:]) > 1
        if wide and not maps.is_contiguous(memory_format=torch.channels_last):
            self.turned[place()] += 1


def on_device(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(on_device, value))
    return isinstance(value, Tensor) and value.device.type == "cuda"


def place() -> str:
    """The file, line and function of the project that is running."""
    frame = sys._getframe(2)
    while frame is not None:
        file = file_of_ours(frame.f_code.co_filename)
        if file is not None:
            return f"{file}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "torch"


@cache
def file_of_ours(path: str) -> str | None:
    """The name of a file of the project or of these tests."""
    file = Path(path)
    return file.name if file != Path(__file__) and {"restorekit", "device"} & set(file.parts[-4:-1]) else None


@cache
def cuda_operations() -> frozenset[str]:
    """The names of torch's operations that have a kernel for CUDA, or that are made of others."""
    text = (Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml").read_text()
    found, delegating = set(), {}
    for entry in yaml.load(text, yaml.CSafeLoader):
        name = entry["func"].partition("(")[0]
        listed = entry.get("dispatch", {"CompositeImplicitAutograd": name})
        delegating[name] = entry.get("structured_delegate", name)
        if ON_CUDA & {key.strip() for keys in listed for key in keys.split(",")}:
            found.add(name)
    having = {name for name, target in delegating.items() if name in found or target in found}
    return frozenset(name.partition(".")[0] for name in having)


def replacing(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """`nn.Module._apply` with new parameters: torch's own swaps tensors in place, which fake ones do not allow."""
    for child in module.children() if recurse else ():
        child._apply(change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            module._parameters[name] = nn.Parameter(change(parameter.detach()), parameter.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


REAL_NUMPY = Tensor.numpy


def ones(values: Tensor) -> np.ndarray:
    """`Tensor.numpy`; of a fake tensor, which has no values, ones."""
    with _disable_current_modes():
        real = torch.ones(values.shape, dtype=values.dtype) if isinstance(values, FakeTensor) else values
        return REAL_NUMPY(real)


def save_ones(tensors: dict[str, Tensor], file: Path) -> None:
    """`save_file` of safetensors for fake tensors."""
    with _disable_current_modes():
        save_file({name: torch.ones(one.shape, dtype=one.dtype) for name, one in tensors.items()}, file)


class AtOnce(Executor):
    """An executor without threads, for the states: fake tensors bear no second thread beside a step."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


TORCH: dict[str, Any] = {
    "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
    "torch.cuda.is_available": lambda: True,
    "torch.cuda.device_count": lambda: 2,
    "torch.cuda.is_bf16_supported": lambda **_: True,
    "torch._subclasses.fake_tensor.FakeTensorMode.avoid_device_init": True,
    "torch.nn.Module._apply": replacing,
    "torch.Tensor.numpy": ones,
    "torch.Tensor.tolist": lambda values: ones(values).tolist(),
    "restorekit.training.state.save_file": save_ones,
    "restorekit.training.state_writer.ThreadPoolExecutor": AtOnce,
}


@contextmanager
def fake_device() -> Iterator[Watch]:
    """A context in which tensors are fake, and the device exists."""
    watch = Watch()
    with ExitStack() as context:
        for name, function in TORCH.items():
            context.enter_context(mock.patch(name, function))
        context.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        context.enter_context(watch)
        yield watch
