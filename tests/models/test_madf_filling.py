"""The smooth filling: valid pixels stay, and holes depend on the pixels around them alone."""

import pytest
import torch
from torch import Tensor

from restorekit.config.madf import MadfOptions
from restorekit.models.madf import MADF, filling
from restorekit.models.madf.filling import Stencils, relaxed, smooth_fill


def hole(height: int, width: int) -> Tensor:
    valid = torch.ones(1, 1, height, width)
    valid[..., height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 0
    return valid


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 5), (37, 31), (128, 256)])
def test_valid_pixels_stay_and_constants_fill_holes(size: tuple[int, int]) -> None:
    image, valid = torch.rand(2, 3, *size), hole(*size).expand(2, -1, -1, -1)
    filled = smooth_fill(image, valid)
    assert torch.equal(filled * valid, image * valid)
    flat = torch.full((2, 3, *size), 0.37)
    expected = flat if valid.any() else torch.zeros_like(flat)
    torch.testing.assert_close(smooth_fill(flat, valid), expected)


def test_pixels_in_holes_are_not_used() -> None:
    image, valid = torch.rand(1, 3, 40, 50), hole(40, 50)
    assert torch.equal(smooth_fill(image, valid), smooth_fill(image + 7 * (1 - valid), valid))
    assert not smooth_fill(image, torch.zeros_like(valid)).any()


def test_the_filling_stays_near_the_range_of_valid_pixels() -> None:
    image, valid = torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.9).float()
    filled = smooth_fill(image, valid)
    assert -0.5 < filled.min() < filled.max() < 1.5


def test_stiffness_continues_the_bend_at_the_rim(monkeypatch: pytest.MonkeyPatch) -> None:
    across = torch.linspace(-1, 1, 64)
    bowl = (across[:, None] ** 2 + across**2).expand(1, 3, 64, 64)
    valid = torch.ones(1, 1, 64, 64)
    valid[..., 28:36, 24:40] = 0

    def error(stiffness: float) -> float:
        monkeypatch.setattr(filling, "STIFFNESS", stiffness)
        return float((smooth_fill(bowl, valid) - bowl).abs().max())

    shipped, stiff, slack = error(filling.STIFFNESS), error(3.0), error(0.0)
    assert stiff < shipped < slack
    assert stiff < slack / 1.5


def test_the_filling_continues_a_slope_better_than_the_mean_does() -> None:
    ramp = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    valid = torch.ones(1, 1, 128, 128)
    valid[..., 40:80, 30:90] = 0
    missing = (1 - valid).expand_as(ramp) > 0
    errors = [(guess - ramp)[missing].abs().mean() for guess in (smooth_fill(ramp, valid), ramp.mean())]
    assert errors[0] < 0.2 * errors[1]


def test_a_network_that_starts_smooth_first_returns_the_filling() -> None:
    model = MADF(MadfOptions(width=4, init="he", start="smooth")).eval()
    image, valid = torch.randn(1, 3, 128, 128), hole(128, 128)
    with torch.no_grad():
        for output in model(image, valid).outputs:
            assert torch.equal(output, smooth_fill(image, valid))


def test_rounding_does_not_grow_with_the_relaxations() -> None:
    image, valid = torch.randn(1, 3, 96, 80, dtype=torch.float64), hole(96, 80).double()
    exact = smooth_fill(image, valid)
    torch.testing.assert_close(smooth_fill(image.float(), valid.float()).double(), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("stiffness", [1.0, 0.0625])
@pytest.mark.parametrize("size", [(4, 4), (16, 16), (3, 40), (17, 31), (70, 33)])
def test_the_relaxations_of_a_gpu_are_those_of_a_cpu(size: tuple[int, int], stiffness: float) -> None:
    """Small levels are relaxed by a matrix, larger ones by convolutions; the holes reach the border."""
    torch.manual_seed(0)
    start, valid = torch.randn(2, 3, *size), torch.rand(2, 1, *size) > 0.4
    valid[0, :, :, size[1] // 2 :] = False
    wanted = start
    for step in filling._steps(stiffness):
        bent = filling._laplacian(wanted)
        change = step * (bent - stiffness * filling._laplacian(bent))
        wanted = torch.where(valid, start, wanted + change)
    found = relaxed(start, ~valid, stiffness, Stencils.of(start))
    assert torch.equal(torch.where(valid, found, 0), torch.where(valid, start, 0))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
