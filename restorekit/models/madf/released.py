"""Names and shapes of the released network's tensors, and their conversion to ours (madf.md 6)."""

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from restorekit.models.madf.encoder import GROWTH, KERNELS

PREFIXES = ("module.model.", "module.")
EXTRACTOR = "extractor."  # prefix of the loss network's tensors in a released checkpoint
VGG = {  # 14 tensors, convolutions of VGG-16 up to pool3
    "enc_1.0": (64, 3), "enc_1.2": (64, 64), "enc_2.0": (128, 64), "enc_2.2": (128, 128),
    "enc_3.0": (256, 128), "enc_3.2": (256, 256), "enc_3.4": (256, 256),
}  # fmt: skip
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Source(NamedTuple):
    """The source of one of our tensors: the authors' keys and shapes, and the function that converts their tensors."""

    keys: tuple[str, ...]
    shapes: Callable[[tuple[int, ...]], tuple[tuple[int, ...], ...]]  # from our shape to the authors' shapes
    join: Callable[..., Tensor]


def refinements_of(tensors: Mapping[str, Tensor]) -> int:
    """The number of refinement decoders in a file."""
    return sum(f"dec_ref{number}_1.weight" in tensors for number in range(2))


def width_of(tensors: Mapping[str, Tensor]) -> int:
    """The decoders' channels at half resolution; 0 if the file lacks the tensor."""
    found = tensors.get("deconv_1.0.weight")
    return 0 if found is None or found.dim() != 4 else found.shape[0]


def sources(width: int, refinements: int) -> dict[str, Source]:
    """The source of each of our tensors; used keys: 236 of 271 with two refinements, 168 with one, 100 with none."""
    found: dict[str, Source] = {}
    inputs, masks = (6, *(width // 4 * growth for growth in GROWTH)), max(4, width // 4)
    for level, kernel in enumerate(KERNELS, start=1):
        ours, theirs = f"encoder.levels.{level - 1}", f"filter_gen_{level}"
        found |= _layer(f"{ours}.mask_conv", f"{theirs}.conv.0")
        keys = (f"{theirs}.conv1.0.weight", f"{theirs}.conv1.0.bias")
        found[f"{ours}.bank"] = Source(keys, partial(_bank_shapes, masks), partial(_bank, inputs[level - 1], kernel))
    found |= _layer("bottom", "enc_up_7.0")
    for place, level in enumerate(range(7, 1, -1)):
        ours = f"recovery.{place}"
        found |= _layer(f"{ours}.skip", f"enc_up_{level - 1}.0") | _layer(f"{ours}.up", f"deconv_{level}.0")
        found |= _layer(f"{ours}.norm", f"deconv_{level}.1") | _statistics(f"{ours}.norm", f"deconv_{level}.1")
        found |= _layer(f"{ours}.fuse", f"att_conv_{level}.conv.0")
        for number in range(refinements):
            found |= _refinement(f"refinement.{number}.{place}", f"dec_ref{number}_{level}")
    found |= _layer("last_recovery.up", "deconv_1.0") | _layer("last_recovery.mix", "att_conv_1.conv.0")
    for number in range(refinements):
        found |= _layer(f"last_refinement.{number}.mix", f"dec_ref{number}_1")
    return found


def dead_norms(width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the encoder's 35 batch norm tensors, which the released network never uses and a file may lack."""
    shapes: dict[str, tuple[int, ...]] = {}
    for level, growth in enumerate(GROWTH, start=1):
        for kind in ("weight", "bias", *STATISTICS):
            shapes[f"enc_conv_{level}.bn.{kind}"] = () if kind == STATISTICS[2] else (width // 4 * growth,)
    return shapes


def extractor() -> dict[str, tuple[int, ...]]:
    """Shapes of the loss network's 14 tensors, which are not among the model's 271."""
    shapes: dict[str, tuple[int, ...]] = {}
    for key, (outputs, inputs) in VGG.items():
        shapes |= {f"{EXTRACTOR}{key}.weight": (outputs, inputs, 3, 3), f"{EXTRACTOR}{key}.bias": (outputs,)}
    return shapes


def _bank_shapes(masks: int, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    values = prod(shape) // (masks + 1)
    return (values, masks, 1, 1), (values,)


def _bank(inputs: int, kernel: int, weight: Tensor, bias: Tensor) -> Tensor:
    """The bank ((R + 1) C_out, C_in, k, k): `bias` (C_in k k C_out) first, then `weight` (C_in k k C_out, R, 1, 1)."""
    filters = torch.cat([bias.detach()[:, None], weight.detach().flatten(1)], 1)
    by_position = filters.view(inputs, kernel, kernel, -1, filters.shape[1])
    return by_position.permute(4, 3, 0, 1, 2).flatten(0, 1).contiguous()


def _refinement(ours: str, theirs: str) -> dict[str, Source]:
    found = _layer(f"{ours}.up", f"{theirs}.deconv") | _statistics(f"{ours}.norm.norm", f"{theirs}.bn.batch_norm")
    found |= _layer(f"{ours}.norm.shared", f"{theirs}.bn.mlp_shared.0")
    for kind in ("weight", "bias"):
        keys = (f"{theirs}.bn.mlp_scale.{kind}", f"{theirs}.bn.mlp_bias.{kind}")
        found[f"{ours}.norm.modulate.{kind}"] = Source(keys, _halves, _stack)
    return found


def _layer(ours: str, theirs: str) -> dict[str, Source]:
    return {f"{ours}.{kind}": Source((f"{theirs}.{kind}",), _unchanged, _copy) for kind in ("weight", "bias")}


def _statistics(ours: str, theirs: str) -> dict[str, Source]:
    return {f"{ours}.{kind}": Source((f"{theirs}.{kind}",), _unchanged, _copy) for kind in STATISTICS}


def _unchanged(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return (shape,)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _halves(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return ((shape[0] // 2, *shape[1:]),) * 2


def _stack(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first.detach(), second.detach()])
