"""DAKD, degradation-aware restoration by knowledge distillation, for rain, haze, raindrops and motion blur.

Suin, Purohit and Rajagopalan, "Degradation Aware Approach to Image Restoration Using Knowledge Distillation", IEEE J.
Selected Topics in Signal Processing 15(2), 2021. Only the paper's abstract and figures are known. The design follows
dakd.md among the papers; section numbers refer to dakd.md.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.config.dakd import MIN_SIZE, TASKS, DakdOptions
from restorekit.models.dakd.blocks import Conv
from restorekit.models.dakd.student import ContextMaps, Student
from restorekit.models.dakd.teacher import Features, Teacher
from restorekit.models.descriptor import Descriptor, check_size

MULTIPLE = 4
HALO = 32  # pixels; from 16 on, only the context's statistics differ: a mean of at most 0.0014, on two rain images


class DakdResult(NamedTuple):
    """DAKD's outputs, at the input's size except for features and gates of smaller scales."""

    logit: Tensor  # (B, 1, H, W) of the mask
    mask: Tensor  # (B, 1, H, W) in (0, 1), 1 = degraded; detached
    teacher: Features
    restored: Tensor | None  # (B, 3, H, W) around [0, 1], not clamped; None with `only_mask`
    student: list[Tensor]  # E1 to E4 of the student; empty with `only_mask`
    gates: list[Tensor]  # (B, 1, h, w) at 1/4, 1/2 and 1, means over channels, detached; empty without gates
    context: ContextMaps | None  # at 1/4


class DAKD(nn.Module):
    """Teacher and student: the teacher predicts the mask of degraded pixels, and the mask guides the student."""

    def __init__(self, options: DakdOptions) -> None:
        super().__init__()
        self.options, self.tau, width = options, options.tau, options.width
        self.teacher = Teacher(width)
        self.student = Student(options)
        for module in self.modules():
            if isinstance(module, Conv):
                module.negative_slope = options.negative_slope
                if options.init == "he":
                    nn.init.kaiming_normal_(module.weight, a=options.negative_slope, nonlinearity="leaky_relu")
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        if options.zero_last:
            nn.init.zeros_(self.student.decoder.last.weight)
            nn.init.zeros_(self.student.decoder.last.bias)  # type: ignore[arg-type]
        self.descriptor = Descriptor(
            name="dakd",
            tasks=TASKS,
            takes_mask=False,
            min_size=MIN_SIZE,
            size_multiple=MULTIPLE,
            tiling="approximate",
            halo=HALO,
            bytes_per_pixel=_bytes_per_pixel(width),
            localises=True,
        )

    def forward(self, image: Tensor, mask: Tensor | None = None, only_mask: bool = False) -> DakdResult:
        """The mask and the restoration of `image` (B, 3, H, W) in [0, 1], each side 4 pixels or more.

        The student sends no gradient to the teacher. `mask` (B, 1, H, W), 1 = degraded, replaces the predicted mask
        for the student. With `only_mask` the teacher alone runs, with gradients.
        """
        padded, (height, width) = _padded(image), image.shape[-2:]
        with torch.set_grad_enabled(torch.is_grad_enabled() and only_mask):
            logit, features = self.teacher(padded)
        logit = logit.to(image.dtype)
        found = logit.detach().sigmoid()
        shown = DakdResult(
            logit[..., :height, :width], found[..., :height, :width], features, None, [], [], context=None
        )
        if only_mask:
            return shown
        made = self.student(padded, found if mask is None else _padded(mask.to(image.dtype)), features)
        restored = (padded + made.residual.to(image.dtype))[..., :height, :width]
        return shown._replace(restored=restored, student=made.encoder, gates=made.gates, context=made.context)

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image`, float32 (B, 3, H, W) sRGB in [0, 1], restored and clamped to [0, 1]; no gradient is kept.

        DAKD predicts the mask and ignores the argument. A side below 4 pixels raises RestorekitError.
        """
        return self._restored(image, None)

    def restore_guided(self, image: Tensor, mask: Tensor) -> Tensor:
        """The result of `restore` with `mask` (B, 1, H, W), 1 = degraded, instead of the predicted mask."""
        return self._restored(image, mask)

    @torch.no_grad()
    def start_from_teacher(self) -> None:
        """Copies the teacher's encoder into the student's, which has the same channels at the same scales.

        With `mask_input` the filters of the fourth input channel, the mask, keep their initial weights.
        """
        own = dict(self.student.encoder.named_parameters())
        for name, learnt in self.teacher.encoder.named_parameters():
            (own[name][:, : learnt.shape[1]] if learnt.ndim > 1 else own[name]).copy_(learnt)

    def _restored(self, image: Tensor, mask: Tensor | None) -> Tensor:
        with torch.no_grad():
            padded, (height, width), fusion = _padded(image), image.shape[-2:], self.options.fusion
            guide, features = None if mask is None else _padded(mask.to(image.dtype)), Features([], [])
            if guide is None or fusion:
                logit, features = self.teacher(padded, keep=fusion)
                guide = logit.to(image.dtype).sigmoid() if guide is None else guide
            made = self.student(padded, guide, features, keep=False)
            return (padded + made.residual.to(image.dtype))[..., :height, :width].clamp(0, 1)

    def locate(self, image: Tensor) -> Tensor:
        """The mask (B, 1, H, W) in (0, 1) of the degraded pixels of `image`, as in `restore`, without gradients."""
        with torch.no_grad():
            return self(image, only_mask=True).mask


def _padded(image: Tensor) -> Tensor:
    """`image` reflected at the bottom and the right up to a multiple of 4."""
    height, width = image.shape[-2:]
    check_size(image, "dakd", MIN_SIZE)
    below, right = -height % MULTIPLE, -width % MULTIPLE
    return F.pad(image, (0, right, 0, below), mode="reflect") if below or right else image


def _bytes_per_pixel(width: int) -> int:
    """Peak memory of `restore`: float32 values alive in the first dense block, and the workspace of a convolution.

    A convolution copies its input in blocks of 16 channels: the measured workspace is 3.0 to 3.4 maps of the width.
    """
    return round(4 * (7 * width + 4 + 3.5 * 16 * -(-width // 16)))
