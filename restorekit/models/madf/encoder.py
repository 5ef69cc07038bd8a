"""MADF's mask-aware encoder: a stream of mask features generates the filters of a stream of image features.

The mask generates a filter bank for every position; the exact form here never builds these banks (madf.md 3). Filters
that are affine in m mask features make the layer a sum of m + 1 ordinary convolutions, weighted at every position. One
convolution over a band of rows computes all of the sum's terms, and a band's result stays in the processor's cache. The
backward pass computes each band again, so that only the inputs are kept.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

STRIDE = 2
BAND_BYTES = 2**23  # of the convolutions' results in a band on a CPU; larger bands take memory and save no time
DEVICE_BAND_BYTES = 2**28  # on a GPU, which small bands leave idle


def dynamic_conv(features: Tensor, mask_features: Tensor, bank: Tensor) -> Tensor:
    """sum over r of m_r(p) (W_r * features)(p) with m_0 = 1, stride 2, zero padding of half the kernel.

    `features` (B, C_in, H, W); `mask_features` (B, R, H', W') of the result's size; `bank` ((R + 1) C_out, C_in, k, k)
    begins with W_0, which no mask feature weights. The result is (B, C_out, H', W'). Autocast sets the precision of
    the convolutions; sums are in float32. Differentiable once, in all three arguments.
    """
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, mask_features, bank = features.to(dtype), mask_features.to(dtype), bank.to(dtype)
    if torch.onnx.is_in_onnx_export():  # which takes no loops
        return _in_one_band(features, mask_features, bank)
    with torch.autocast(device, enabled=False):
        result: Tensor = _DynamicConv.apply(features, mask_features, bank)
    return result


def _in_one_band(features: Tensor, mask_features: Tensor, bank: Tensor) -> Tensor:
    """The result of `dynamic_conv`; holds the terms of all positions at once."""
    parts = mask_features.shape[1]
    terms = F.conv2d(_padded(features, bank), bank, stride=STRIDE).unflatten(1, (parts + 1, -1))
    return terms[:, 0] + (terms[:, 1:] * mask_features[:, :, None]).sum(1)


class _DynamicConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, mask_features: Tensor, bank: Tensor) -> Tensor:
        ctx.save_for_backward(features, mask_features, bank)
        batch, parts, height, width = mask_features.shape
        channels = bank.shape[0] // (parts + 1)
        padded = _padded(features, bank)
        result = features.new_empty(batch, channels, height, width)
        for rows, window in _bands(mask_features, bank):
            terms = F.conv2d(padded[:, :, window], bank, stride=STRIDE).unflatten(1, (parts + 1, channels))
            total = terms[:, 0].float() if terms.dtype in (torch.bfloat16, torch.float16) else terms[:, 0]
            for part in range(parts):
                total.addcmul_(terms[:, part + 1].to(total.dtype), mask_features[:, part, None, rows].to(total.dtype))
            result[:, :, rows] = total
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, mask_features, bank = ctx.saved_tensors
        needs_features, needs_mask, needs_bank = ctx.needs_input_grad
        padded, pad = _padded(features, bank), bank.shape[-1] // 2
        to_padded = torch.zeros_like(padded) if needs_features else None
        to_mask = torch.empty_like(mask_features) if needs_mask else None
        to_bank = torch.zeros_like(bank, dtype=torch.float32 if bank.dtype != torch.float64 else None)
        parts = mask_features.shape[1]
        for rows, window in _bands(mask_features, bank):
            band, given = padded[:, :, window], gradient[:, :, rows]
            if to_mask is not None:
                terms = F.conv2d(band, bank, stride=STRIDE).unflatten(1, (parts + 1, -1))
                for part in range(parts):
                    to_mask[:, part, rows] = (terms[:, part + 1] * given).sum(1)
                del terms
            weights = mask_features[:, :, None, rows]
            spread = torch.cat([given, (weights * given[:, None]).flatten(1, 2)], 1)
            if to_padded is not None:
                to_padded[:, :, window] += conv2d_input(band.shape, bank, spread, stride=STRIDE)
            if needs_bank:
                to_bank += conv2d_weight(band, bank.shape, spread, stride=STRIDE)
        height, width = features.shape[-2:]
        to_features = None if to_padded is None else to_padded[:, :, pad : pad + height, pad : pad + width]
        return to_features, to_mask, to_bank.to(bank.dtype) if needs_bank else None


def _padded(features: Tensor, bank: Tensor) -> Tensor:
    pad = bank.shape[-1] // 2
    return F.pad(features, (pad, pad, pad, pad))


def _bands(mask_features: Tensor, bank: Tensor) -> Iterator[tuple[slice, slice]]:
    """Bands of result rows, each with the rows of the padded features that the band depends on."""
    batch, _, height, width = mask_features.shape
    most = BAND_BYTES if mask_features.device.type == "cpu" else DEVICE_BAND_BYTES
    per_row = batch * bank.shape[0] * width * bank.element_size()
    step = max(1, most // per_row)
    for start in range(0, height, step):
        stop = min(start + step, height)
        yield slice(start, stop), slice(STRIDE * start, STRIDE * (stop - 1) + bank.shape[-1])


KERNELS = (7, 5, 3, 3, 3, 3, 3)  # of the levels
GROWTH = (1, 2, 4, 8, 8, 8, 8)  # channels of each level, in multiples of the first's


class MaskLevel(nn.Module):
    """One level (madf.md 2): image and mask features (B, C_in, H, W) to features of half the size."""

    def __init__(self, mask_inputs: int, mask_channels: int, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.mask_conv = nn.Conv2d(mask_inputs, mask_channels, kernel, STRIDE, kernel // 2)
        self.bank = nn.Parameter(torch.empty((mask_channels + 1) * outputs, inputs, kernel, kernel))
        nn.init.uniform_(self.bank, -(mask_channels**-0.5), mask_channels**-0.5)  # the default of a 1x1 convolution

    def forward(self, features: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        mask_features = self.mask_conv(mask_features).relu_()
        return dynamic_conv(features, mask_features, self.bank), mask_features


class OrdinaryLevel(nn.Module):
    """A level of the ablation: one filter bank for all positions; the first level's input has the mask's 3 channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, STRIDE, kernel // 2)

    def forward(self, features: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(features), mask_features


class Encoder(nn.Module):
    """Seven levels; `width` and `mask_channels` are the channels of the two streams in the first level (16 and 16)."""

    def __init__(self, width: int, mask_channels: int, dynamic: bool, batch_norm: bool) -> None:
        super().__init__()
        self.channels = tuple(width * growth for growth in GROWTH)
        inputs = (6, *self.channels[:-1])
        mask_inputs = (3, *[mask_channels] * 6)
        self.levels = nn.ModuleList(
            MaskLevel(mask_in, mask_channels, before, after, kernel)
            if dynamic
            else OrdinaryLevel(before, after, kernel)
            for mask_in, before, after, kernel in zip(mask_inputs, inputs, self.channels, KERNELS, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in self.channels) if batch_norm else None

    def forward(self, stack: Tensor, mask: Tensor) -> list[Tensor]:
        """e_1 ... e_7 of the levels, for `stack` = [image * mask, mask] (B, 6, H, W) and `mask` (B, 3, H, W)."""
        features, mask_features, levels = stack, mask, []
        for number, level in enumerate(self.levels):
            features, mask_features = level(features, mask_features)
            features = features.relu_()
            if self.norms is not None:
                features = self.norms[number](features)
            levels.append(features)
        return levels
