"""MADF, mask-aware dynamic filtering with cascaded refinement, for inpainting.

Zhu, He, Li, Li, Li, Liu, Ding and Zhang, "Image Inpainting by End-to-End Cascaded Refinement with Mask Awareness", IEEE
Trans. Image Processing 30, 2021. Section numbers are those of madf.md among the papers. In this package, and nowhere
else, masks follow the paper: 1 = valid.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.config.madf import MULTIPLE, TASKS, MadfOptions
from restorekit.errors import RestorekitError
from restorekit.models.descriptor import Descriptor
from restorekit.models.madf.decoders import (
    LastRecovery,
    LastRefinement,
    PointwiseNorm,
    RecoveryStep,
    RefinementStep,
)
from restorekit.models.madf.encoder import Encoder, MaskLevel
from restorekit.models.madf.filling import ColourRange, smooth_fill

HALO = 128  # pixels
DECODED = (8, 8, 8, 8, 4, 2, 1)  # channels of levels 7 to 1, in multiples of `width`


class MadfResult(NamedTuple):
    """Images (B, 3, H, W) in ImageNet-normalised colours, not clamped: of the recovery, then of each refinement."""

    outputs: tuple[Tensor, ...]


class MADF(nn.Module):
    """MADF: an encoder, a recovery decoder, and `options.refinements` decoders that refine the recovery's image."""

    def __init__(self, options: MadfOptions) -> None:
        super().__init__()
        self.options, width, refinements = options, options.width, options.refinements
        self.smooth, pointwise = options.start == "smooth", options.normalisation == "pointwise"
        self.range = ColourRange()
        self.encoder = Encoder(width // 4, max(4, width // 4), options.filters == "dynamic", options.encoder_bn)
        encoded = self.encoder.channels[::-1]
        decoded = tuple(width * share for share in DECODED)
        self.bottom = nn.Conv2d(encoded[0], decoded[0], 1)
        self.recovery = nn.ModuleList(
            RecoveryStep(*sizes) for sizes in zip(decoded[:-1], decoded[1:], encoded[1:], strict=True)
        )
        self.refinement = nn.ModuleList(
            nn.ModuleList(
                RefinementStep(before, after, 2 * width, pointwise, options.pn_plus_one)
                for before, after in pairwise(decoded)
            )
            for _ in range(refinements)
        )
        self.last_recovery = LastRecovery(width)
        self.last_refinement = nn.ModuleList(LastRefinement(width, number + 1) for number in range(refinements))
        if options.init == "he":
            self.apply(_draw_for_relu)
        if self.smooth:
            for last in (self.last_recovery, *self.last_refinement):
                nn.init.zeros_(last.mix.weight)
                nn.init.zeros_(last.mix.bias)
        self.descriptor = Descriptor(
            name="madf",
            tasks=TASKS,
            takes_mask=True,
            min_size=1,
            size_multiple=MULTIPLE,
            tiling="approximate",
            halo=HALO,
            bytes_per_pixel=_bytes_per_pixel(width),
        )

    def forward(self, image: Tensor, mask: Tensor) -> MadfResult:
        """All outputs for a normalised `image` (B, 3, H, W) and its `mask`, (B, 3, H, W) or (B, 1, H, W), 1 = valid.

        Pixels in holes are not used. Raises RestorekitError unless H and W are multiples of 128.
        """
        height, width = image.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE:
            raise RestorekitError(
                f"madf takes sides that are multiples of {MULTIPLE} pixels, not {width}x{height}: `restore` pads others"
            )
        mask = mask.expand(-1, 3, -1, -1).contiguous()
        begun = image * mask
        if self.smooth:
            begun = begun + (1 - mask) * smooth_fill(image, mask[:, :1])
        stack = torch.cat([begun, mask], 1)
        levels = self.encoder(stack, mask)
        recovered = self.bottom(levels.pop()).relu_()
        refined = [recovered] * len(self.refinement)
        for number, step in enumerate(self.recovery):
            recovered = step(recovered, levels.pop())
            guide = recovered
            for index, decoder in enumerate(self.refinement):
                refined[index] = guide = decoder[number](refined[index], guide)  # type: ignore[index]
        first = self.last_recovery(recovered, stack)
        outputs = [begun + first if self.smooth else first]
        for features, last in zip(refined, self.last_refinement, strict=True):
            image = last(features, outputs, stack)
            outputs.append(begun + image if self.smooth else image)
        return MadfResult(tuple(outputs))

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image`, float32 (B, 3, H, W) sRGB in [0, 1], with its holes filled, clamped; no gradient is kept.

        `mask` (B, 1, H, W): 1 = missing, 0 = kept to the bit. The image may have any size: reflection pads the bottom
        and the right, and the padding counts as a hole. Raises RestorekitError without a mask.

        Blending with a soft mask differs from the paper: the output is clamped to [0, 1] before blending, not after.
        This project's masks are binary, in training too, where the authors' masks have soft edges: read_mask and the
        folders of masks apply a threshold.
        """
        if mask is None:
            raise RestorekitError("madf needs a mask of what is missing")
        size = image.shape[-2:]
        below, right = ((side + MULTIPLE - 1) // MULTIPLE * MULTIPLE - side for side in size)
        rows, columns = (
            _reflected(side, side + more, image.device) for side, more in zip(size, (below, right), strict=True)
        )
        valid = F.pad((1 - mask).float(), (0, right, 0, below))
        with torch.no_grad():
            padded = image.index_select(2, rows).index_select(3, columns)
            output = self(self.range.normalised(padded), valid).outputs[-1][..., : size[0], : size[1]]
            filled = self.range.colours(output.to(image.dtype)).clamp_(0, 1)
            return torch.where(mask == 0, image, torch.lerp(image, filled, mask)).clamp_(0, 1)


def _reflected(length: int, padded: int, device: torch.device) -> Tensor:
    """The source pixel of each place on a side of `length` that repeated reflection extends to `padded`."""
    period = max(1, 2 * length - 2)
    places = torch.arange(padded, device=device) % period
    return torch.minimum(places, period - places) if length > 1 else torch.zeros_like(places)


def _draw_for_relu(module: nn.Module) -> None:
    if isinstance(module, MaskLevel):
        parts = module.mask_conv.out_channels
        banks = module.bank.data.unflatten(0, (parts + 1, -1))
        for bank in banks:
            nn.init.kaiming_normal_(bank, nonlinearity="relu")
        banks[1:] *= parts**-0.5  # so that these banks together contribute as much as the first
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.out_channels != 3:
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.data *= (module.in_channels / module.out_channels) ** -0.5 * 2  # 4 of 16 taps reach a pixel
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, PointwiseNorm):
        nn.init.zeros_(module.modulate.weight)
        bias = cast(Tensor, module.modulate.bias)
        nn.init.zeros_(bias)
        if not module.plus_one:
            nn.init.ones_(bias[: bias.numel() // 2].data)


def _bytes_per_pixel(width: int) -> int:
    """Peak memory of `restore` in float32, measured from 1024 x 1024 pixels on; below, fragmentation adds up to 1/3."""
    return round(4 * (3 * width + 60))


@dataclass(frozen=True)
class Activations:
    """Activation maps of one image; a list is empty if the network lacks the part."""

    mask_features: list[Tensor]  # (R, H_l, W_l) of levels 1 to 7, which generate the filters
    scales: list[list[Tensor]]  # (H_l, W_l), the mean over channels of 1 + scale, coarsest first, of each refinement


def record_activations(model: MADF, image: Tensor, mask: Tensor) -> Activations:
    """The activations of the network while it restores `image` (1, 3, H, W) in [0, 1] with `mask`, 1 = missing."""
    kept: dict[nn.Module, Tensor] = {}
    levels = [level for level in model.encoder.levels if isinstance(level, MaskLevel)]
    norms = [[norm for norm in part.modules() if isinstance(norm, PointwiseNorm)] for part in model.refinement]
    modulates = [norm.modulate for found in norms for norm in found]
    with _keeping([level.mask_conv for level in levels] + modulates, kept):
        model.restore(image, mask)
    return Activations(
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
