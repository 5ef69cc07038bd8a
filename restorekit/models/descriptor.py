"""Descriptors of networks (accepted sizes, tiling, memory), and the methods that every network has."""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from restorekit.errors import RestorekitError


@dataclass(frozen=True)
class Descriptor:
    """The properties of a network that inference relies on."""

    name: str
    tasks: tuple[str, ...]
    takes_mask: bool
    min_size: int  # pixels, each side
    size_multiple: int  # 1: any size
    tiling: Literal["exact", "approximate"]  # approximate: the network uses statistics of the whole image
    halo: int  # pixels of context that a tile needs on each side
    bytes_per_pixel: int  # measured peak memory of `restore` in float32, on top of the loaded weights
    streams: bool = False  # a StreamingModel: restores the whole image in less memory
    batches: bool = True  # images of a batch do not influence each other
    localises: bool = False  # predicts a mask of the degraded pixels


class RestorationModel(Protocol):
    """Every network of the project: an nn.Module with a descriptor and `restore`."""

    descriptor: Descriptor

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Restores `image`, float32 (B, 3, H, W) sRGB in [0, 1], to the same shape and range, clamped.

        `mask` is (B, 1, H, W), 1 = degraded or missing; networks whose descriptor has no `takes_mask` ignore it.
        """
        ...


class StreamingModel(RestorationModel, Protocol):
    """A network whose descriptor has `streams`."""

    def streamed_bytes(self, height: int, width: int) -> int:
        """The least memory in bytes, on top of the loaded weights, that `restore_streamed` needs in float32."""
        ...

    def restore_streamed(self, image: Tensor, memory_bytes: int | None = None) -> Tensor:
        """The result of `restore` up to rounding, within `memory_bytes` if `streamed_bytes` is no larger."""
        ...


def check_size(image: Tensor, name: str, least: int) -> None:
    """Raises RestorekitError if a side of `image` (B, C, H, W) has fewer than `least` pixels."""
    height, width = image.shape[-2:]
    if min(height, width) < least:
        raise RestorekitError(f"{width}x{height} pixels are too few for {name}: each side needs {least} or more")
