"""The cheap form of dynamic filters equals the direct form, which builds a filter bank per position (madf.md 3)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.models.madf import encoder
from restorekit.models.madf.encoder import dynamic_conv

LEVELS = [(6, 16, 7), (16, 32, 5), (32, 64, 3), (64, 128, 3), (128, 128, 3)]  # C_in, C_out, kernel
PARTS = 16


def direct(features: Tensor, mask_features: Tensor, bank: Tensor) -> Tensor:
    """Filters for every position, times the unfolded windows."""
    parts, kernel = mask_features.shape[1], bank.shape[-1]
    by_part = bank.unflatten(0, (parts + 1, -1)).flatten(2)  # (R + 1, C_out, C_in k k)
    ones = torch.ones_like(mask_features[:, :1])
    filters = torch.einsum("brhw,rok->bokhw", torch.cat([ones, mask_features], 1), by_part)
    windows = F.unfold(features, kernel, padding=kernel // 2, stride=2)
    return torch.einsum("bokhw,bkhw->bohw", filters, windows.unflatten(2, tuple(mask_features.shape[-2:])))


def masks(kind: str, side: int) -> Tensor:
    return {
        "random": (torch.rand(2, 3, side, side) > 0.5).double(),
        "holes": torch.zeros(2, 3, side, side).double(),
        "valid": torch.ones(2, 3, side, side).double(),
        "soft": torch.rand(2, 3, side, side).double(),
    }[kind]


def case(level: tuple[int, int, int], kind: str, side: int = 14) -> tuple[Tensor, Tensor, Tensor]:
    inputs, outputs, kernel = level
    features = torch.randn(2, inputs, side, side, dtype=torch.float64)
    weight = torch.randn(PARTS, 3, kernel, kernel, dtype=torch.float64)
    mask_features = F.relu(F.conv2d(masks(kind, side), weight, torch.randn(PARTS).double(), 2, kernel // 2))
    return features, mask_features, torch.randn((PARTS + 1) * outputs, inputs, kernel, kernel, dtype=torch.float64)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["random", "holes", "valid", "soft"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_cheap_equals_direct(level: tuple[int, int, int], kind: str, dtype: torch.dtype, tolerance: float) -> None:
    values = case(level, kind)
    expected = direct(*values)
    found = dynamic_conv(*(value.to(dtype) for value in values))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance * expected.abs().max().item())


def gradients(function: Callable[..., Tensor], values: tuple[Tensor, ...]) -> list[Tensor]:
    leaves = [value.clone().requires_grad_() for value in values]
    result = function(*leaves)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    (result * weights).sum().backward()
    return [leaf.grad for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("level", [LEVELS[0], LEVELS[1], LEVELS[2]])
@pytest.mark.parametrize("kind", ["random", "holes", "soft"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_cheap_gradients_equal_direct_gradients(
    level: tuple[int, int, int], kind: str, dtype: torch.dtype, tolerance: float
) -> None:
    values = case(level, kind, side=16)
    found = gradients(dynamic_conv, tuple(value.to(dtype) for value in values))
    for one, other in zip(found, gradients(direct, values), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=tolerance * other.abs().max().item())


@pytest.mark.parametrize("side", [(9, 14), (1, 1), (16, 3)])
def test_odd_sizes(side: tuple[int, int]) -> None:
    features = torch.randn(1, 4, *side, dtype=torch.float64)
    mask_features = torch.rand(1, 3, (side[0] + 1) // 2, (side[1] + 1) // 2, dtype=torch.float64)
    values = features, mask_features, torch.randn(8, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(dynamic_conv(*values), direct(*values))


def test_the_size_of_bands_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = case(LEVELS[1], "random", side=33)
    whole = dynamic_conv(*values), gradients(dynamic_conv, values)
    monkeypatch.setattr(encoder, "BAND_BYTES", 1)  # a row at a time
    bands = dynamic_conv(*values), gradients(dynamic_conv, values)
    torch.testing.assert_close(bands[0], whole[0], rtol=1e-12, atol=1e-12)
    for one, other in zip(bands[1], whole[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("learns", [0, 1, 2])
def test_only_inputs_that_require_a_gradient_get_one(learns: int) -> None:
    values = case(LEVELS[2], "random", side=8)
    values[learns].requires_grad_()
    dynamic_conv(*values).sum().backward()
    assert [value.grad is not None for value in values] == [number == learns for number in range(3)]


def test_filters_are_not_stored(peak_bytes: Callable[[Callable[[], Any], list[Tensor]], int]) -> None:
    """The direct form stores 294 values for each channel and position of the output."""
    inputs, outputs, kernel = LEVELS[0]
    features, mask_features = torch.randn(1, inputs, 128, 128), torch.rand(1, PARTS, 64, 64)
    values = [features, mask_features, torch.randn((PARTS + 1) * outputs, inputs, kernel, kernel)]
    cheap, plain = (peak_bytes(lambda f=f: f(*values), values) for f in (dynamic_conv, direct))  # type: ignore[misc]
    assert cheap < 0.1 * plain
