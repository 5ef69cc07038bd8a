"""DMGN, the Deep-Masking Generative Network, for reflection, rain and haze.

Feng, Pei, Jia, Chen, Zhang and Lu, "Deep-Masking Generative Network: A Unified Framework for Background Restoration
from Superimposed Images", IEEE Trans. Image Processing 30, 2021. Section numbers are those of dmgn.md among the papers.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from restorekit.config.dmgn import MIN_SIZE, DmgnOptions
from restorekit.models.descriptor import Descriptor, check_size
from restorekit.models.dmgn.cells import reflect, spread
from restorekit.models.dmgn.phases import Branch, Hypercolumn, NoiseMap, Refiner, Separator, SignedAttention
from restorekit.models.trunks import FROM_CHECKPOINT, create_trunk

HALO = 64  # pixels; tiles then differed from the whole image by at most 0.0041, on one image per variant
LISTED_CELLS = (0, 1, 2, 3, 4, 9, 10, 11)  # cells of the background branch whose gates the released code returns


class DmgnResult(NamedTuple):
    """DMGN's outputs at the input's size: images (B, 3, H, W) around [-1, 1], not clamped; maps (B, 1, H, W)."""

    coarse: Tensor  # the background of the coarse phase
    noise: Tensor  # reflection, rain or haze as an image
    background: Tensor  # the refined background
    separator_mask: Tensor  # in (0, 1), 1 = background
    gates: list[Tensor]  # detached: 8 of background cells 1-5 and 10-12 (at their scales), then 6 of the refining cells
    noise_distribution: Tensor | None  # K, mean 1 in each image; None where the map is not used


class DMGN(nn.Module):
    """DMGN without the convolutions that the released code builds and never runs.

    The attribute `options` has `use_ndm` resolved, and `trunk_weights` refers to the checkpoint.
    """

    def __init__(self, options: DmgnOptions) -> None:
        super().__init__()
        trunk, width, gated = options.trunk, options.width, options.gated
        stored = {"use_ndm": options.steered, "trunk_weights": None if trunk == "none" else FROM_CHECKPOINT}
        self.options = options.model_copy(update=stored)
        self.residual_coarse = reflection = options.variant == "reflection"
        self.head = Hypercolumn(width, None if trunk == "none" else create_trunk(trunk, options.trunk_weights))
        self.separator = Separator(width)
        self.background_branch = Branch(width, gated)
        self.noise_branch = Branch(width, gated)
        self.attention = SignedAttention(width) if options.refine else None
        self.noise_map = NoiseMap(width, options.ndm_batch_stats) if options.steered else None
        self.noise_features = options.noise_features
        parts = 3 if options.noise_features else 2
        self.refiner = Refiner(width, reflection, parts, gated) if options.refine else None
        if options.init == "he":
            for module in self.modules():
                if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                    _draw_for_relu(module)
        if options.zero_last:  # the last convolutions of the residuals that are added to the input
            heads = [self.background_branch.last, self.noise_branch.last] if reflection else []
            for last in [*heads, *([self.refiner.last] if self.refiner is not None else [])]:
                nn.init.zeros_(last.weight)
                nn.init.zeros_(cast(Tensor, last.bias))
        self.descriptor = Descriptor(
            name="dmgn",
            tasks=(options.variant,),
            takes_mask=False,
            min_size=MIN_SIZE,
            size_multiple=1,
            tiling="approximate",
            halo=HALO,
            bytes_per_pixel=_bytes_per_pixel(width, trunk != "none", options.steered),
            batches=not options.ndm_batch_stats,
        )

    def forward(self, image: Tensor) -> DmgnResult:
        """Decomposes `image` (B, 3, H, W) in [-1, 1]; a side below 17 pixels raises RestorekitError."""
        check_size(image, "dmgn", MIN_SIZE)
        image = image.contiguous(memory_format=torch.channels_last)
        features = self.head(image)
        shared, mask = self.separator(features)
        if self.noise_map is None:
            del features  # without gradients, freeing a full-size map lowers the peak
        coarse, gates = self.background_branch(shared, mask)
        noise, _ = self.noise_branch(shared, 1 - mask)
        coarse, noise = coarse.to(image.dtype), noise.to(image.dtype)
        if self.residual_coarse:
            coarse, noise = image + coarse, image + noise
        listed = [gates[cell].detach() for cell in LISTED_CELLS]
        if self.refiner is None or self.attention is None:
            return DmgnResult(coarse, noise, coarse, mask, listed, None)
        # Convolve Z = [HFL(coarse), ACA(F_B, +1), ACA(HFL(noise), -1)] part by part; the noise enters negated.
        first, channels = self.refiner.first, self.separator.first.out_channels
        joined = first.part(reflect(self.attention(spread(mask, shared) * shared, 1.0)), channels)
        del shared
        steer = None
        if self.noise_features or self.noise_map is not None:
            noise_features = self.head(noise)
            if self.noise_map is not None:
                steer = self.noise_map(features, noise_features)
            if self.noise_features:
                joined += first.part(reflect(self.attention(noise_features, -1.0)), 2 * channels)
            del noise_features
        joined += first.part(reflect(self.head(coarse)), 0, bias=True)
        residual, refining_gates = self.refiner(joined, steer)
        background = image + residual.to(image.dtype)
        listed += [gate.detach() for gate in refining_gates]
        return DmgnResult(coarse, noise, background, mask, listed, steer)

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The background of `image`, float32 (B, 3, H, W) sRGB in [0, 1], clamped to [0, 1]; no gradient is kept.

        DMGN ignores `mask`. A side below 17 pixels raises RestorekitError.
        """
        with torch.no_grad():
            return self(image * 2 - 1).background.add_(1).div_(2).clamp_(0, 1)


def _draw_for_relu(conv: nn.Conv2d) -> None:
    if conv.weight.requires_grad:  # skips a frozen trunk
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)


def _bytes_per_pixel(width: int, has_trunk: bool, use_ndm: bool) -> int:
    """Peak memory of `restore`, from the float32 values alive at once.

    Measured growth agrees from 1024 x 1024 pixels on; for smaller images, fragmentation can double the small need.

    A branch keeps six maps of `width` channels alive, and one and a half more if the input's features wait for the NDM.
    A trunk keeps four maps of 64 channels and three maps of `width` channels alive.
    """
    waiting = 1.5 * width + 8 if use_ndm else 0.0
    values = 6 * width + 16
    if has_trunk:
        values = max(values, 4 * 64 + 3 * width + 24)
    return round(4 * (values + waiting))
