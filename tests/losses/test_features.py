"""Distances of feature maps: attentive distillation by the numbers of dakd.md 11.9, and the perceptual formula."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.losses.features import Perceptual, attention, distillation
from restorekit.models.trunks import create_trunk


def maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, 12, 16, generator=generator).relu_() for channels in (4, 8)]


@pytest.mark.parametrize("attentive", [False, True])
def test_distillation_is_zero_for_equal_features(attentive: bool) -> None:
    assert distillation(maps(1), maps(1), attentive) == 0
    assert distillation(maps(1), maps(2), attentive) > 0.1


@pytest.mark.parametrize("teacher", [maps(1)[1], torch.zeros(2, 8, 12, 16), 1e-9 * maps(3)[1], 1e6 * maps(4)[1]])
def test_attention_has_mean_1_in_each_image(teacher: Tensor) -> None:
    weights = attention(teacher)
    assert weights.shape == teacher.shape
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.mean(dim=(1, 2, 3)), torch.ones(2), rtol=0, atol=1e-5)


def test_attention_is_largest_at_the_teachers_strongest_features() -> None:
    teacher = torch.full((1, 3, 8, 8), 0.1)
    teacher[:, 1, 2:4, 2:4] = 5.0
    weights = attention(teacher)
    assert weights[0, 1, 2, 2] == weights.max()
    assert weights[0, 1, 2, 2] > 4 * weights[0, 0, 6, 6]


@pytest.mark.parametrize("attentive", [False, True])
def test_distillation_does_not_depend_on_resolution(attentive: bool) -> None:
    own, given = maps(1), maps(2)
    tiled = [[torch.tile(one, (1, 1, 2, 2)) for one in features] for features in (own, given)]
    torch.testing.assert_close(distillation(*tiled, attentive), distillation(own, given, attentive), rtol=0.01, atol=0)


def test_distillation_does_not_depend_on_a_channels_scale() -> None:
    own, given = maps(1), maps(2)
    scaled = [features * torch.tensor([3.0, 0.5] * (features.shape[1] // 2)).view(1, -1, 1, 1) for features in own]
    torch.testing.assert_close(distillation(scaled, given), distillation(own, given), rtol=1e-4, atol=0)


def test_distillation_gives_gradients_only_to_the_student() -> None:
    own, given = ([one.requires_grad_() for one in maps(seed)] for seed in (1, 2))
    distillation(own, given).backward()
    assert all(one.grad is None for one in given)
    for one in own:
        assert one.grad.isfinite().all()
        assert one.grad.abs().sum() > 0


def test_bfloat16_and_dead_features_give_finite_losses() -> None:
    own, given = ([one.bfloat16() for one in maps(seed)] for seed in (1, 2))
    assert distillation(own, given).dtype == torch.float32
    dead = [torch.zeros_like(one).requires_grad_() for one in own]
    loss = distillation(dead, given)
    loss.backward()
    assert loss.isfinite()
    assert all(one.grad.isfinite().all() for one in dead)


@pytest.fixture(scope="module", params=["vgg19", "vgg16_shift_tolerant"])
def perceptual(request: pytest.FixtureRequest) -> Perceptual:
    return Perceptual(create_trunk(request.param))


def test_perceptual_is_zero_for_equal_images_and_grows_with_their_distance(perceptual: Perceptual) -> None:
    image, step = torch.rand(1, 3, 32, 40) * 2 - 1, torch.randn(1, 3, 32, 40)
    assert perceptual(image, image) == 0
    distances = [float(perceptual(image, image + amount * step)) for amount in (0.01, 0.05, 0.2)]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_perceptual_of_vgg19_equals_the_formula_on_images_from_0_to_1() -> None:
    """As in CFDNet, whose images are in [0, 1]."""
    trunk = create_trunk("vgg19")
    image, target = torch.rand(2, 1, 3, 24, 24) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, y = (255 * ((value + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1) for value in (image, target))
    expected = F.l1_loss(x, y)
    last = 0
    for tap, weight in zip((1, 6, 11, 20, 29), (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5), strict=True):
        x, y = (trunk.features[last : tap + 1](value) for value in (x, y))
        expected = expected + weight * F.l1_loss(x, y)
        last = tap + 1
    torch.testing.assert_close(Perceptual(trunk)(image, target), expected)


def test_perceptual_gives_gradients_only_to_the_image(perceptual: Perceptual) -> None:
    image, target = (torch.rand(2, 1, 3, 24, 24) * 2 - 1).requires_grad_().unbind()
    found = torch.autograd.grad(perceptual(image, target), [image, target], allow_unused=True)
    assert found[0] is not None
    assert found[0].isfinite().all()
    assert found[0].abs().sum() > 0
    assert found[1] is None
    assert all(parameter.grad is None for parameter in perceptual.parameters())


def test_perceptual_in_bfloat16_is_close(perceptual: Perceptual) -> None:
    image, target = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    exact = perceptual(image, target)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = perceptual(image, target)
    assert rounded.dtype == torch.float32
    assert rounded == pytest.approx(float(exact), rel=0.02)
