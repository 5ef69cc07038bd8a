"""Weights released by a paper's authors: every key of their file is used, or named here as unused."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError, unknown_name
from restorekit.models import create_model
from restorekit.models.checkpoint import fill
from restorekit.models.trunks import FROM_CHECKPOINT

PREFIX = "module."
VGG = "head_feat.vgg.vgg_pretrained_features"
VGG_USED = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)  # convolutions up to relu5_1
VGG_TAIL = (30, 32, 34)
CELLS = ("s_m0", "s_m1", "s_m2", "s_m3", "s_m4", "s_m5", "s_m21", "s_m31", "s_m41", "s_m51", "s_m6", "s_m7")
CELL_CHANNELS = (64, 128, *[256] * 8, 128, 64)
BRANCHES = {"": ("background_branch", "outconv_B_coarse"), "r_branch.": ("noise_branch", "outconv_R")}


def from_authors(name: str, tensors: Mapping[str, Tensor], variant: str = "reflection") -> nn.Module:
    """The model `name` with the weights of its authors' file, in eval mode.

    `tensors` is the file's state dict, with or without the prefix "module."; read the file with
    `torch.load(..., weights_only=True)`. The three variants of DMGN have the same 294 keys, so that a file fills any of
    them; rain and haze check the Noise Distribution Map's and leave them out. Raises RestorekitError for a missing,
    extra or mis-shaped key.
    """
    if name != "dmgn":
        raise unknown_name("model with released weights", name, ["dmgn"])
    found = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
    with torch.device("meta"):
        whole = create_model(name, variant="reflection", trunk="vgg19", trunk_weights=FROM_CHECKPOINT)
        model = create_model(name, variant=variant, trunk="vgg19", trunk_weights=FROM_CHECKPOINT)
    names, shapes = dmgn_names(), {key: tuple(value.shape) for key, value in whole.state_dict().items()}
    _check(found, {theirs: shapes[ours] for theirs, ours in names.items()} | dmgn_unused())
    own = model.state_dict()
    used = {ours: found[theirs].detach().clone() for theirs, ours in names.items() if ours in own}
    fill(model, used, "the authors' file")
    return model.eval()


def _check(found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    for key in expected:
        if key not in found:
            raise RestorekitError(f"the authors' file has no '{key}': it is not a whole file of the released DMGN")
    for key, tensor in found.items():
        if key not in expected:
            raise RestorekitError(f"the authors' file has a stranger, '{key}': it is not the released DMGN")
        if tuple(tensor.shape) != expected[key]:
            shapes = f"{list(tensor.shape)} where {list(expected[key])} is expected"
            raise RestorekitError(f"'{key}' in the authors' file is {shapes}: it is not the released DMGN")


def dmgn_unused() -> dict[str, tuple[int, ...]]:
    """The 32 keys that the released network constructs and never runs, with their shapes (dmgn_state_dict.txt)."""
    unused: dict[str, tuple[int, ...]] = {}
    for index in VGG_TAIL:
        unused |= {f"{VGG}.{index}.weight": (512, 512, 3, 3), f"{VGG}.{index}.bias": (512,)}
    for branch in BRANCHES:
        for cell, channels in zip(CELLS[2:], CELL_CHANNELS[2:], strict=True):
            unused[f"{branch}{cell}.conv3.conv.1.weight"] = (2 * channels, channels, 3, 3)
    for number in range(6):
        unused[f"refine.s_m{number}.conv3.conv.1.weight"] = (128, 64, 3, 3)
    return unused


def dmgn_names() -> dict[str, str]:
    """The other 262 keys: the authors' name of a tensor to ours."""
    names: dict[str, str] = {}
    for index in VGG_USED:
        names |= _both(f"{VGG}.{index}", f"head.trunk.features.{index}")
    names |= _pair("head_feat.conv", "head")
    names |= _pair("seperator.conv", "separator") | _gate("seperator.mask", "separator.gate")
    names |= _pair("seperator2.conv", "noise_map")
    names["seperator2.mask.0.weight"] = "noise_map.gate.mix.weight"
    names["seperator2.mask.2.weight"] = "noise_map.gate.last.weight"
    for prefix, (branch, head) in BRANCHES.items():
        names |= _branch(prefix, branch, head)
    names |= {
        "Channel_weight.Depthwise_conv.1.weight": "attention.pool.weight",
        "Channel_weight.mask.0.weight": "attention.gate.weight",
        "Channel_weight.Channelwise_conv1.0.weight": "attention.reduce.weight",
        "Channel_weight.Channelwise_conv1.2.weight": "attention.expand.weight",
    }
    names |= _both("refine.conv.1", "refiner.first")
    for number in range(6):
        names |= _cell(f"refine.s_m{number}", f"refiner.cells.{number}")
    return names | _both("refine.outconv.0", "refiner.mix") | _both("refine.outconv.2", "refiner.last")


def _branch(prefix: str, branch: str, head: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, cell in enumerate(CELLS):
        names |= _cell(f"{prefix}{cell}", f"{branch}.cells.{number}")
    for number in (1, 2):
        names[f"{prefix}s_m{number - 1}.conv3.conv.1.weight"] = f"{branch}.down{number}.weight"
        names |= _pair(f"{prefix}up{number}.up", f"{branch}.up{number}")
    return names | _both(f"{head}.outconv.1", f"{branch}.head") | _both(f"{head}.outconv.3", f"{branch}.last")


def _cell(theirs: str, ours: str) -> dict[str, str]:
    convolutions = {
        f"{theirs}.conv1.1.weight": f"{ours}.first.weight",
        f"{theirs}.conv1.4.weight": f"{ours}.second.weight",
    }
    return convolutions | _gate(f"{theirs}.mask_1.mask", f"{ours}.gate")


def _gate(theirs: str, ours: str) -> dict[str, str]:
    return _both(f"{theirs}.0", f"{ours}.mix") | _both(f"{theirs}.2", f"{ours}.last")


def _pair(theirs: str, ours: str) -> dict[str, str]:
    return _both(f"{theirs}.1", f"{ours}.first") | _both(f"{theirs}.4", f"{ours}.second")


def _both(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias")}
