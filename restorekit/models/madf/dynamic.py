"""Filters that a mask generates, one bank for every position, in an exact form that builds none of them (madf.md 3).

Filters that are affine in m mask features make the layer a sum of m + 1 ordinary convolutions, weighted at every
position. They run as one convolution over a band of rows at a time, whose result stays in the processor's cache; the
backward pass makes each band again, so that nothing but inputs is kept.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

STRIDE = 2
BAND_BYTES = 2**23  # of the convolutions' results in one band on a CPU; of more the time is the same, not the memory
DEVICE_BAND_BYTES = 2**28  # on a GPU, where small bands leave it idle


def dynamic_conv(features: Tensor, mask_features: Tensor, bank: Tensor) -> Tensor:
    """sum over r of m_r(p) (W_r * features)(p) with m_0 = 1, stride 2, zero padding of half the kernel.

    `features` (B, C_in, H, W); `mask_features` (B, R, H', W') of the result's size; `bank` ((R + 1) C_out, C_in, k, k)
    with W_0, which no mask feature weights, first. The result is (B, C_out, H', W'). Under autocast everything is
    computed in its precision, and added up in float32. Differentiable once, in all three.
    """
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, mask_features, bank = features.to(dtype), mask_features.to(dtype), bank.to(dtype)
    with torch.autocast(device, enabled=False):
        result: Tensor = _DynamicConv.apply(features, mask_features, bank)
    return result


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
    """Rows of the result, and the rows of the padded features under them."""
    batch, _, height, width = mask_features.shape
    most = BAND_BYTES if mask_features.device.type == "cpu" else DEVICE_BAND_BYTES
    per_row = batch * bank.shape[0] * width * bank.element_size()
    step = max(1, most // per_row)
    for start in range(0, height, step):
        stop = min(start + step, height)
        yield slice(start, stop), slice(STRIDE * start, STRIDE * (stop - 1) + bank.shape[-1])
