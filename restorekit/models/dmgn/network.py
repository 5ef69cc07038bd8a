"""DMGN, the Deep-Masking Generative Network, for reflection, rain and haze.

Feng, Pei, Jia, Chen, Zhang and Lu, "Deep-Masking Generative Network: A Unified Framework for Background Restoration
from Superimposed Images", IEEE Trans. Image Processing 30, 2021. Section numbers are those of dmgn.md among the papers.
"""

from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError, unknown_name
from restorekit.models.descriptor import Descriptor
from restorekit.models.dmgn.cells import reflect, spread
from restorekit.models.dmgn.phases import Branch, Hypercolumn, NoiseMap, Refiner, Separator, SignedAttention
from restorekit.models.trunks import FROM_CHECKPOINT, TRUNKS, create_trunk

Variant = Literal["reflection", "rain", "haze"]
Init = Literal["framework", "he"]
MIN_SIZE = 17  # pixels: the refining trunk reflects 16 of them
HALO = 64  # pixels; tiles then differed from the whole by at most 0.0041, on one image a variant
LISTED_CELLS = (0, 1, 2, 3, 4, 9, 10, 11)  # of the background branch: the gates that the released code returns


class DmgnResult(NamedTuple):
    """What DMGN finds, at the input's size: images (B, 3, H, W) around [-1, 1], not clamped; maps (B, 1, H, W)."""

    coarse: Tensor  # the background of the coarse phase
    noise: Tensor  # reflection, rain or haze as an image
    background: Tensor  # the refined background
    separator_mask: Tensor  # in (0, 1), 1 = background
    gates: list[Tensor]  # detached: 8 of background cells 1-5 and 10-12 (at their scales), then 6 of the refining cells
    noise_distribution: Tensor | None  # K, mean 1 in each image; None where the map is not used


class DMGN(nn.Module):
    """DMGN in the lean build: no convolution that never runs.

    `variant`: "reflection" adds the input to the coarse images and steers the refinement by the Noise Distribution Map;
    "rain" and "haze" (one network) do neither and have no tanh at the end (section 4). `use_ndm` and `final_tanh`
    override the variant's own. `width`: channels at full resolution, 64 in the paper. `trunk`: what the hypercolumn is
    made of, see trunks.py; with "none" it is the image alone. `trunk_weights`: a file of the user's; without one vgg19
    is random. `ndm_batch_stats`: see NoiseMap. `init`: "framework" is the released code's, none at all; "he" draws the
    3x3 convolutions for ReLU (He et al. 2015), which short trainings need. `zero_last`: the last 1x1 convolutions of
    what is added to the input (the refining trunk, and for reflection both heads) start at zero, so that training
    starts from background = input. Ablations: without `refine` the background is the coarse one, without
    `noise_features` the noise image's do not go into the refinement (`use_ndm` is the other use of it), without `gated`
    the cells add all of their residual.
    Raises RestorekitError for values that cannot be.
    """

    def __init__(
        self,
        variant: Variant = "reflection",
        width: int = 64,
        trunk: Literal["none", "vgg19", "vgg16_shift_tolerant"] = "vgg19",
        trunk_weights: str | None = None,
        use_ndm: bool | None = None,
        final_tanh: bool | None = None,
        ndm_batch_stats: bool = False,
        init: Init = "framework",
        zero_last: bool = False,
        refine: bool = True,
        noise_features: bool = True,
        gated: bool = True,
    ) -> None:
        super().__init__()
        reflection = variant == "reflection"
        use_ndm = reflection and refine and gated if use_ndm is None else use_ndm
        final_tanh = reflection if final_tanh is None else final_tanh
        _check_options(variant, width, trunk, trunk_weights, use_ndm, ndm_batch_stats, init)
        _check_ablation(use_ndm, refine, noise_features, gated)
        self.options: dict[str, Any] = {
            "variant": variant,
            "width": width,
            "trunk": trunk,
            "trunk_weights": None if trunk == "none" else FROM_CHECKPOINT,
            "use_ndm": use_ndm,
            "final_tanh": final_tanh,
            "ndm_batch_stats": ndm_batch_stats,
            "init": init,
            "zero_last": zero_last,
            "refine": refine,
            "noise_features": noise_features,
            "gated": gated,
        }
        self.residual_coarse = reflection
        self.head = Hypercolumn(width, None if trunk == "none" else create_trunk(trunk, trunk_weights))
        self.separator = Separator(width)
        self.background_branch = Branch(width, gated)
        self.noise_branch = Branch(width, gated)
        self.attention = SignedAttention(width) if refine else None
        self.noise_map = NoiseMap(width, ndm_batch_stats) if use_ndm else None
        self.noise_features = noise_features
        self.refiner = Refiner(width, final_tanh, 3 if noise_features else 2, gated) if refine else None
        if init == "he":
            for module in self.modules():
                if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                    _draw_for_relu(module)
        if zero_last:
            heads = [self.background_branch.last, self.noise_branch.last] if reflection else []
            for last in [*heads, *([self.refiner.last] if self.refiner is not None else [])]:
                nn.init.zeros_(last.weight)
                nn.init.zeros_(cast(Tensor, last.bias))
        self.descriptor = Descriptor(
            name="dmgn",
            tasks=(variant,),
            takes_mask=False,
            min_size=MIN_SIZE,
            size_multiple=1,
            tiling="approximate",
            halo=HALO,
            bytes_per_pixel=_bytes_per_pixel(width, trunk != "none", use_ndm),
        )

    def forward(self, image: Tensor) -> DmgnResult:
        """Decomposes `image` (B, 3, H, W) in [-1, 1]; one with a side below 17 pixels raises RestorekitError."""
        height, width = image.shape[-2:]
        if min(height, width) < MIN_SIZE:
            raise RestorekitError(f"{width}x{height} pixels are too few for dmgn: each side needs {MIN_SIZE} or more")
        image = image.contiguous(memory_format=torch.channels_last)
        features = self.head(image)
        shared, mask = self.separator(features)
        if self.noise_map is None:
            del features  # without gradients every full-size map that is let go of lowers the peak
        coarse, gates = self.background_branch(shared, mask)
        noise, _ = self.noise_branch(shared, 1 - mask)
        coarse, noise = coarse.to(image.dtype), noise.to(image.dtype)
        if self.residual_coarse:
            coarse, noise = image + coarse, image + noise
        listed = [gates[cell].detach() for cell in LISTED_CELLS]
        if self.refiner is None or self.attention is None:
            return DmgnResult(coarse, noise, coarse, mask, listed, None)
        # Z = [HFL(coarse), ACA(F_B, +1), ACA(HFL(noise), -1)] is convolved part by part; the noise enters negated.
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

        DMGN takes no mask: one that is given changes nothing. An image with a side below 17 raises RestorekitError.
        """
        with torch.no_grad():
            return self(image * 2 - 1).background.add_(1).div_(2).clamp_(0, 1)


def _draw_for_relu(conv: nn.Conv2d) -> None:
    if conv.weight.requires_grad:  # not a frozen trunk's
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)


def _check_options(
    variant: str, width: int, trunk: str, trunk_weights: str | None, use_ndm: bool, ndm_batch_stats: bool, init: str
) -> None:
    if init not in get_args(Init):
        raise unknown_name("init of dmgn", str(init), get_args(Init))
    if variant not in get_args(Variant):
        raise unknown_name("variant of dmgn", str(variant), get_args(Variant))
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise RestorekitError(f"dmgn's width is a whole number of channels, 1 or more, not {width!r}")
    if trunk not in ("none", *TRUNKS):
        raise unknown_name("trunk", str(trunk), ("none", *TRUNKS))
    if trunk == "none" and trunk_weights is not None:
        raise RestorekitError("trunk_weights needs a trunk: leave it out, or take trunk vgg19 or vgg16_shift_tolerant")
    if ndm_batch_stats and not use_ndm:
        raise RestorekitError("ndm_batch_stats needs the Noise Distribution Map: give use_ndm too, or leave it out")


def _check_ablation(use_ndm: bool, refine: bool, noise_features: bool, gated: bool) -> None:
    if not refine and (use_ndm or not noise_features):
        raise RestorekitError("without refine nothing of the noise image is used: leave use_ndm and noise_features out")
    if use_ndm and not gated:
        raise RestorekitError("the Noise Distribution Map steers gates: without gated, give use_ndm: false")


def _bytes_per_pixel(width: int, has_trunk: bool, use_ndm: bool) -> int:
    """Peak of `restore`, from the float32 values that live at once; measured growth agrees from 1024 x 1024 pixels on;
    below, the heap's holes can double it, of little.

    Six maps of `width` channels live in a branch, and one and a half more where the input's features wait for the NDM.
    In a trunk four maps of 64 channels live beside three of `width`.
    """
    waiting = 1.5 * width + 8 if use_ndm else 0.0
    values = 6 * width + 16
    if has_trunk:
        values = max(values, 4 * 64 + 3 * width + 24)
    return round(4 * (values + waiting))
