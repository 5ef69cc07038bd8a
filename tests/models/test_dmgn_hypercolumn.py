"""The slice-wise hypercolumn equals the concatenated one in outputs and gradients, in a fraction of the memory."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.models.dmgn.phases import Hypercolumn
from restorekit.models.trunks import Trunk, Vgg19


@pytest.fixture
def trunk() -> Trunk:
    trunk = Vgg19()
    for layer in trunk.features:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return trunk


def levels(trunk: Trunk, image: Tensor) -> list[Tensor]:
    maps = [image.detach()]
    for stage in trunk.stages():
        maps.append(stage(maps[-1]))
    return maps[1:]


def concatenated(head: Hypercolumn, image: Tensor, maps: list[Tensor]) -> Tensor:
    """dmgn.md 3.1 with the 1475 channels stored, for constant maps."""
    resized = [F.interpolate(level, size=image.shape[2:], mode="bilinear", align_corners=False) for level in maps]
    features = F.pad(torch.cat([image, *resized], 1), (1, 1, 1, 1), mode="reflect")
    features = F.pad(F.relu(head.first(features)), (1, 1, 1, 1), mode="reflect")
    return F.relu(head.second(features))


@pytest.mark.parametrize("group", [64, 100, 512])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_sum_over_slices_equals_the_concatenation(
    trunk: Trunk, group: int, dtype: torch.dtype, tolerance: float
) -> None:
    head = Hypercolumn(8, trunk, group).to(dtype)
    image = torch.rand(2, 3, 37, 29, dtype=dtype) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(head(image), concatenated(head, image, levels(trunk, image)), rtol=0, atol=tolerance)


@pytest.mark.parametrize("group", [64, 100])
def test_gradients_treat_the_trunks_maps_as_constants(trunk: Trunk, group: int) -> None:
    head = Hypercolumn(8, trunk, group).double()
    image = (torch.rand(1, 3, 26, 31, dtype=torch.float64) * 2 - 1).requires_grad_()
    weights = [*head.first.parameters(), *head.second.parameters()]
    found = torch.autograd.grad(head(image).square().sum(), [image, *weights])
    expected = torch.autograd.grad(concatenated(head, image, levels(trunk, image)).square().sum(), [image, *weights])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert all(parameter.grad is None for parameter in trunk.parameters())


def test_slices_take_a_third_of_the_memory_at_full_width(trunk: Trunk, peak_bytes: Callable[..., int]) -> None:
    head, image = Hypercolumn(64, trunk), torch.rand(1, 3, 128, 128) * 2 - 1
    known = [image, *head.state_dict().values()]
    with torch.no_grad():
        sliced = peak_bytes(lambda: head(image), known)
        stored = peak_bytes(lambda: concatenated(head, image, levels(trunk, image)), known)
    assert sliced < stored / 3


def test_training_keeps_no_resized_slice(trunk: Trunk, peak_bytes: Callable[..., int]) -> None:
    head, image = Hypercolumn(8, trunk), torch.rand(1, 3, 96, 96) * 2 - 1
    known = [image, *head.state_dict().values()]
    sliced = peak_bytes(lambda: head(image).sum().backward(), known)
    stored = peak_bytes(lambda: concatenated(head, image, levels(trunk, image)).sum().backward(), known)
    assert sliced < stored / 2


def test_without_a_trunk_the_hypercolumn_is_the_image() -> None:
    head, image = Hypercolumn(8, None), torch.rand(1, 3, 20, 20)
    assert head.first.in_channels == 3
    with torch.no_grad():
        torch.testing.assert_close(head(image), concatenated(head, image, []))
