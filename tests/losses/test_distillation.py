"""Attentive distillation by the numbers of dakd.md 11.9: zero, mean attention, resolution, scale, and who learns."""

import pytest
import torch
from torch import Tensor

from restorekit.losses.distillation import attention, distillation


def maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, 12, 16, generator=generator).relu_() for channels in (4, 8)]


@pytest.mark.parametrize("attentive", [False, True])
def test_zero_where_the_features_are_equal(attentive: bool) -> None:
    assert distillation(maps(1), maps(1), attentive) == 0
    assert distillation(maps(1), maps(2), attentive) > 0.1


@pytest.mark.parametrize("teacher", [maps(1)[1], torch.zeros(2, 8, 12, 16), 1e-9 * maps(3)[1], 1e6 * maps(4)[1]])
def test_attention_has_mean_1_in_each_image(teacher: Tensor) -> None:
    weights = attention(teacher)
    assert weights.shape == teacher.shape
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.mean(dim=(1, 2, 3)), torch.ones(2), rtol=0, atol=1e-5)


def test_attention_is_where_the_teacher_is_strong() -> None:
    teacher = torch.full((1, 3, 8, 8), 0.1)
    teacher[:, 1, 2:4, 2:4] = 5.0
    weights = attention(teacher)
    assert weights[0, 1, 2, 2] == weights.max()
    assert weights[0, 1, 2, 2] > 4 * weights[0, 0, 6, 6]


@pytest.mark.parametrize("attentive", [False, True])
def test_resolution_does_not_matter(attentive: bool) -> None:
    own, given = maps(1), maps(2)
    tiled = [[torch.tile(one, (1, 1, 2, 2)) for one in features] for features in (own, given)]
    torch.testing.assert_close(distillation(*tiled, attentive), distillation(own, given, attentive), rtol=0.01, atol=0)


def test_a_channels_scale_does_not_matter() -> None:
    own, given = maps(1), maps(2)
    scaled = [features * torch.tensor([3.0, 0.5] * (features.shape[1] // 2)).view(1, -1, 1, 1) for features in own]
    torch.testing.assert_close(distillation(scaled, given), distillation(own, given), rtol=1e-4, atol=0)


def test_the_student_alone_learns() -> None:
    own, given = ([one.requires_grad_() for one in maps(seed)] for seed in (1, 2))
    distillation(own, given).backward()
    assert all(one.grad is None for one in given)
    for one in own:
        assert one.grad.isfinite().all()
        assert one.grad.abs().sum() > 0


def test_bfloat16_features_and_dead_ones() -> None:
    own, given = ([one.bfloat16() for one in maps(seed)] for seed in (1, 2))
    assert distillation(own, given).dtype == torch.float32
    dead = [torch.zeros_like(one).requires_grad_() for one in own]
    loss = distillation(dead, given)
    loss.backward()
    assert loss.isfinite()
    assert all(one.grad.isfinite().all() for one in dead)
