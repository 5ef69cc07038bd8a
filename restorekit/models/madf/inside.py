"""What goes on inside MADF for one image: the features of its mask, and the scales of its point-wise norms."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from restorekit.models.madf.decoders import PointwiseNorm
from restorekit.models.madf.encoder import MaskLevel
from restorekit.models.madf.network import MADF


@dataclass(frozen=True)
class Inside:
    """Maps of one image; lists are empty for networks without the part."""

    mask_features: list[Tensor]  # (R, H_l, W_l) of levels 1 to 7, what filters are made of
    scales: list[list[Tensor]]  # (H_l, W_l), the mean over channels of 1 + scale, coarsest first, of each refinement


def look_inside(model: MADF, image: Tensor, mask: Tensor) -> Inside:
    """Restores `image` (1, 3, H, W) in [0, 1] with `mask`, 1 = missing, and keeps what the network makes on its way."""
    kept: dict[nn.Module, Tensor] = {}
    levels = [level for level in model.encoder.levels if isinstance(level, MaskLevel)]
    norms = [[norm for norm in part.modules() if isinstance(norm, PointwiseNorm)] for part in model.refinement]
    modulates = [norm.modulate for found in norms for norm in found]
    with _keeping([level.mask_conv for level in levels] + modulates, kept):
        model.restore(image, mask)
    return Inside(
        [kept[level.mask_conv][0].clamp(min=0) for level in levels],
        [[_factor(norm, kept[norm.modulate]) for norm in found] for found in norms if found],
    )


def _factor(norm: PointwiseNorm, modulation: Tensor) -> Tensor:
    scale = modulation.chunk(2, 1)[0][0].mean(0)
    return scale + 1 if norm.plus_one else scale


@contextmanager
def _keeping(modules: list[Any], kept: dict[nn.Module, Tensor]) -> Iterator[None]:
    def keep(module: nn.Module, _: Any, output: Tensor) -> None:
        kept[module] = output.detach().float().cpu().clone()

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
