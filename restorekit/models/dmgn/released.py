"""Names and shapes in the released DMGN's file: every key is used or listed here as unused."""

PREFIX = "module."
VGG = "head_feat.vgg.vgg_pretrained_features"
VGG_USED = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)  # convolutions up to relu5_1
VGG_TAIL = (30, 32, 34)
CELLS = ("s_m0", "s_m1", "s_m2", "s_m3", "s_m4", "s_m5", "s_m21", "s_m31", "s_m41", "s_m51", "s_m6", "s_m7")
CELL_CHANNELS = (64, 128, *[256] * 8, 128, 64)
BRANCHES = {"": ("background_branch", "outconv_B_coarse"), "r_branch.": ("noise_branch", "outconv_R")}


def unused() -> dict[str, tuple[int, ...]]:
    """The shapes of the 32 tensors that the released network constructs and never runs (dmgn_state_dict.txt)."""
    found: dict[str, tuple[int, ...]] = {}
    for index in VGG_TAIL:
        found |= {f"{VGG}.{index}.weight": (512, 512, 3, 3), f"{VGG}.{index}.bias": (512,)}
    for branch in BRANCHES:
        for cell, channels in zip(CELLS[2:], CELL_CHANNELS[2:], strict=True):
            found[f"{branch}{cell}.conv3.conv.1.weight"] = (2 * channels, channels, 3, 3)
    for number in range(6):
        found[f"refine.s_m{number}.conv3.conv.1.weight"] = (128, 64, 3, 3)
    return found


def names() -> dict[str, str]:
    """The authors' name of each of the other 262 tensors, mapped to ours."""
    found: dict[str, str] = {}
    for index in VGG_USED:
        found |= _both(f"{VGG}.{index}", f"head.trunk.features.{index}")
    found |= _pair("head_feat.conv", "head")
    found |= _pair("seperator.conv", "separator") | _gate("seperator.mask", "separator.gate")
    found |= _pair("seperator2.conv", "noise_map")
    found["seperator2.mask.0.weight"] = "noise_map.gate.mix.weight"
    found["seperator2.mask.2.weight"] = "noise_map.gate.last.weight"
    for prefix, (branch, head) in BRANCHES.items():
        found |= _branch(prefix, branch, head)
    found |= {
        "Channel_weight.Depthwise_conv.1.weight": "attention.pool.weight",
        "Channel_weight.mask.0.weight": "attention.gate.weight",
        "Channel_weight.Channelwise_conv1.0.weight": "attention.reduce.weight",
        "Channel_weight.Channelwise_conv1.2.weight": "attention.expand.weight",
    }
    found |= _both("refine.conv.1", "refiner.first")
    for number in range(6):
        found |= _cell(f"refine.s_m{number}", f"refiner.cells.{number}")
    return found | _both("refine.outconv.0", "refiner.mix") | _both("refine.outconv.2", "refiner.last")


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
