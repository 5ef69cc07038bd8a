"""Writes a network as an ONNX file for other programs. A file takes its place only where onnxruntime agrees with torch.

The file restores one image of any size: "image" is float32 (1, 3, H, W) sRGB in [0, 1], "restored" has its shape and
range, and a network that takes a mask has "mask", (1, 1, H, W) with 1 where something is missing.

The exporter follows one pass at one size. Sizes that a network computes from the image's stay free; what Python decides
by size is decided once. So the size of this pass needs padding in every network, and other sizes are checked.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.files import write_atomically
from restorekit.models.descriptor import Descriptor, RestorationModel
from restorekit.rng import rng_for

OPSET = 18
FOLLOWED = (101, 139)  # the size of the exporter's pass
CHECKED = ((96, 128), (131, 77), (165, 230))
TOLERANCE = 1e-4
GROUP = "pip install 'restorekit[onnx]'"


@dataclass(frozen=True)
class Written:
    """What was checked before the file took its place: sizes (height, width), and the largest difference from torch."""

    sizes: tuple[tuple[int, int], ...]
    difference: float


class _Restores(nn.Module):
    """A network whose forward pass is `restore`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return cast(RestorationModel, self.network).restore(*inputs)


def write_onnx(
    model: nn.Module, record: Mapping[str, Any], file: Path, sizes: Sequence[tuple[int, int]] = CHECKED
) -> Written:
    """Writes `model`, in eval mode on the CPU, to `file`; the model's name, task and digest in `record` go with it.

    Raises RestorekitError, and leaves an older file in place, where a library of the group `onnx` is missing, where
    onnxruntime refuses the file, or where its result at one of `sizes` differs from torch's by more than TOLERANCE.
    """
    onnx, runtime = _libraries()
    if file.suffix != ".onnx":
        raise RestorekitError(f"name a file that ends in .onnx, not {file}")
    with write_atomically(file) as partial:
        _follow(model, partial)
        made = onnx.load(partial)
        known = {key: str(record[key]) for key in ("model", "task", "digest", "run") if record.get(key) is not None}
        onnx.helper.set_model_props(made, {**known, "range": "0 to 1", "colour": "sRGB, RGB"})
        onnx.checker.check_model(made)
        onnx.save(made, partial)
        return Written(tuple(sizes), _difference(model, runtime, partial, sizes))


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise RestorekitError(f"writing ONNX files needs {error.name}, which is not installed: {GROUP}") from None
    return onnx, onnxruntime


def _follow(model: nn.Module, file: Path) -> None:
    """Lets torch's exporter follow one pass. It is the one that follows a trace: the other takes a fixed Python path
    for each size as an error, and minutes for a network."""
    inputs = inputs_of(model, FOLLOWED)
    names = ["image", "mask"][: len(inputs)]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # one for each size that is compared; CHECKED answers them
        free = {name: {2: "height", 3: "width"} for name in (*names, "restored")}
        try:
            torch.onnx.export(
                _Restores(model).eval(), inputs, str(file), dynamo=False, opset_version=OPSET, input_names=names,
                output_names=["restored"], dynamic_axes=free,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).strip().partition("\n")[0]
            raise RestorekitError(f"not written: torch's exporter does not take this network ({reason})") from error


def inputs_of(model: nn.Module, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """An image of noise, and a mask with a hole and scattered pixels for networks that take one."""
    height, width = size
    rng = rng_for(0, "onnx", height, width)
    image = torch.from_numpy(rng.random((1, 3, height, width), dtype=np.float32))
    if not cast(Descriptor, model.descriptor).takes_mask:
        return (image,)
    mask = (rng.random((1, 1, height, width)) < 0.1).astype(np.float32)
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    return image, torch.from_numpy(mask)


def _difference(model: nn.Module, runtime: Any, file: Path, sizes: Sequence[tuple[int, int]]) -> float:
    """The largest difference between onnxruntime's and torch's results at all `sizes`."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # an error is raised, too
    largest = 0.0
    try:
        session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        for size in sizes:
            inputs = inputs_of(model, size)
            names = [one.name for one in session.get_inputs()]
            found = session.run(None, dict(zip(names, (one.numpy() for one in inputs), strict=True)))[0]
            with torch.no_grad():
                wanted = cast(RestorationModel, model).restore(*inputs).numpy()
            if found.shape != wanted.shape:
                raise RestorekitError(f"at {size[1]} x {size[0]} pixels the file's result has the shape {found.shape}")
            difference = float(np.abs(found - wanted).max())
            if not difference <= TOLERANCE:
                raise RestorekitError(
                    f"not written: at {size[1]} x {size[0]} pixels onnxruntime's result is up to {difference:.2g} from "
                    f"torch's, and {TOLERANCE:g} is allowed"
                )
            largest = max(largest, difference)
    except RestorekitError:
        raise
    except Exception as error:  # onnxruntime's own errors have no common class
        raise RestorekitError(f"not written: onnxruntime does not run the file ({error})") from error
    return largest
