"""Frozen feature trunks: five levels of an ImageNet network, read from a file that is checked tensor by tensor.

Nothing is downloaded, nothing in a file is executed, and no package is imported for its weights.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from restorekit.errors import RestorekitError, unknown_name

ANSI = re.compile(r"\x1b\[[0-9;]*m")  # colours of a terminal
FROM_CHECKPOINT = "checkpoint"  # value of `trunk_weights`: the model's weights include the trunk's, no file is read


class Trunk(nn.Module):
    """Convolutions of a VGG up to relu5_1; `features` carries torchvision's indices.

    Its parameters are frozen. A stage leads from one level (relu1_1, relu2_1, ... relu5_1; strides 1, 2, 4, 8, 16) to
    the next, so that a caller can free a level before it computes the next.
    """

    channels = (64, 128, 256, 512, 512)
    features: nn.Sequential

    def __init__(self, convolutions: tuple[int, ...], blurred: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        self.pools: list[int] = []
        before = 3
        for level, (channels, repeats) in enumerate(zip(self.channels, (*convolutions, 1), strict=True)):
            if level:
                layers += [PairwiseMax(1), BlurPool(before)] if blurred else [PairwiseMax(2)]
                self.pools.append(len(layers))
            for repeat in range(repeats):
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
                before = channels
                if repeat == 0:
                    self.taps.append(len(layers))
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def stages(self) -> list[nn.Module]:
        """Five modules to apply in sequence."""
        return [self.features[start:stop] for start, stop in zip([0, *self.taps], self.taps, strict=False)]

    def pooled_stages(self) -> list[nn.Module]:
        """Three modules to apply in sequence; each ends with a pooling."""
        return [self.features[start:stop] for start, stop in pairwise([0, *self.pools[:3]])]

    def normalize(self, image: Tensor) -> Tensor:
        """The first stage's input for an image of DMGN, in [-1, 1]."""
        return image


class Vgg19(Trunk):
    """VGG-19 in torchvision's layout. DMGN's input is the [-1, 1] image, not normalised (dmgn.md 3.1)."""

    def __init__(self) -> None:
        super().__init__((2, 2, 4, 4), blurred=False)


class Vgg16(Trunk):
    """VGG-16 in torchvision's layout, for ImageNet-normalised images."""

    def __init__(self) -> None:
        super().__init__((2, 2, 3, 3), blurred=False)


class ShiftTolerantVgg16(Trunk):
    """The anti-aliased VGG-16 of the package stlpips_pytorch (Ghildyal and Liu, ECCV 2022; BSD-2).

    Pooling has stride 1, and the blur after the pooling has stride 2. The package pads by 2 before the blur, which
    shifts each level by a pixel relative to the previous level. Here the padding is 1, so that a resized level is
    aligned with the image. The filters are the same.
    """

    def __init__(self) -> None:
        super().__init__((2, 2, 3, 3), blurred=True)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def normalize(self, image: Tensor) -> Tensor:
        return (image - self.get_buffer("shift")) / self.get_buffer("scale")


class PairwiseMax(nn.Module):
    """Max pooling over 2x2 windows with stride 1 or 2, without the 8 bytes per value of PyTorch's index map."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        rows = torch.maximum(features[..., : -1 : self.stride, :], features[..., 1 :: self.stride, :])
        return torch.maximum(rows[..., : -1 : self.stride], rows[..., 1 :: self.stride])


class BlurPool(nn.Module):
    """A depthwise [1, 2, 1] blur (Zhang, ICML 2019): (B, C, H, W) to (B, C, (H + 1) // 2, (W + 1) // 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("filt", (row[:, None] * row).expand(channels, 1, 3, 3).clone())

    def forward(self, features: Tensor) -> Tensor:
        padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        return F.conv2d(padded, self.get_buffer("filt").to(features.dtype), stride=2, groups=features.shape[1])


TRUNKS: dict[str, Callable[[], Trunk]] = {"vgg19": Vgg19, "vgg16": Vgg16, "vgg16_shift_tolerant": ShiftTolerantVgg16}


def create_trunk(name: str, weights: str | None = None) -> Trunk:
    """The frozen trunk `name` with its weights.

    `weights` is a file (.pth or .safetensors). Without a file, vgg16_shift_tolerant reads its package's file, and the
    other trunks stay random. Raises RestorekitError for an unknown name and a missing, foreign or damaged file.
    """
    if name not in TRUNKS:
        raise unknown_name("trunk", name, TRUNKS)
    trunk = TRUNKS[name]()
    if weights == FROM_CHECKPOINT:
        return trunk
    if isinstance(trunk, ShiftTolerantVgg16):
        file = Path(weights) if weights else packaged_weights()
        _fill(trunk, _from_package(read_tensors(file)), file)
    elif weights:
        _fill(trunk, read_tensors(Path(weights)), Path(weights))
    return trunk


def packaged_weights() -> Path:
    """The path of the VGG-16 in stlpips_pytorch; the package is not imported, since its import needs torchvision."""
    try:
        found = distribution("stlpips_pytorch").locate_file("stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth")
    except PackageNotFoundError:
        raise RestorekitError("the trunk vgg16_shift_tolerant needs the package: pip install stlpips_pytorch") from None
    return Path(str(found))


def read_tensors(file: Path, what: str = "trunk weights") -> dict[str, Any]:
    """The table of tensors in a .pth or .safetensors file; no code in the file runs. Errors call the file `what`."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RestorekitError(f"no {what} at {file}: give the path of a .pth or .safetensors file") from None
    except pickle.UnpicklingError:  # torch's own message advises to run the file's code
        raise RestorekitError(
            f"the {what} {file} cannot be read: only tensors and plain values are, for anything else in a file could "
            f"run code. Save its tensors alone where it was made: torch.save(model.state_dict(), {file.name!r})"
        ) from None
    except Exception as error:  # damaged bytes raise errors of every class in torch's reader
        reason = ANSI.sub("", str(error)).splitlines()[0] if str(error) else type(error).__name__
        raise RestorekitError(f"the {what} {file} cannot be read ({reason}): get the file again") from error
    if not isinstance(tensors, dict):
        raise RestorekitError(f"the {what} {file} hold a {type(tensors).__name__}, not a table of tensors")
    return tensors


def _from_package(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames net.slice3.14.weight to features.14.weight, and the scaling layer."""
    renamed = {}
    for key, tensor in tensors.items():
        parts = key.split(".")
        if key.startswith("net.slice"):
            renamed[".".join(["features", *parts[2:]])] = tensor
        elif parts[0] == "scaling_layer":
            renamed[parts[1]] = tensor
    return renamed


def _fill(trunk: Trunk, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Copies the trunk's tensors; tensors above relu5_1 and of a classifier are ignored."""
    own = trunk.state_dict()
    for key, value in own.items():
        found = tensors.get(key)
        if not isinstance(found, Tensor):
            raise RestorekitError(f"{file} has no '{key}': it is not a file of {type(trunk).__name__}'s weights")
        if found.shape != value.shape:
            raise RestorekitError(f"'{key}' in {file} is {list(found.shape)} where {list(value.shape)} is expected")
    trunk.load_state_dict({key: tensors[key] for key in own})
