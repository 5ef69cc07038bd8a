"""Pixel distances, the threshold mask (dakd.md 11.3), and losses of a predicted mask, against their formulas."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from restorekit.losses.pixel import LEVEL, cross_entropy, huber, l1, log_mse, mask_target, rare_dice


def test_the_mask_is_1_where_a_channel_differs_by_more_than_tau() -> None:
    degraded = torch.rand(2, 3, 9, 11)
    clean = degraded + 0.2 * torch.rand(2, 3, 9, 11) ** 4
    mask = mask_target(degraded, clean, 0.1)
    assert torch.equal(mask[:, 0].bool(), ((degraded - clean).abs() > 0.1).any(dim=1))
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(mask, mask_target(clean, degraded, 0.1))
    assert mask_target(clean, clean, 0.1).sum() == 0


def test_a_larger_tau_never_adds_white() -> None:
    degraded, clean = torch.rand(2, 1, 3, 9, 11)
    masks = [mask_target(degraded, clean, tau) for tau in (0.05, 0.1, 0.2, 0.5, 0.9)]
    assert all((less <= more).all() for more, less in itertools.pairwise(masks))


def test_a_difference_of_exactly_tau_is_not_above_it() -> None:
    levels = torch.arange(255 - 51).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    assert mask_target(levels / 255, (levels + 51) / 255, 0.2).sum() == 0
    assert mask_target(levels / 255, (levels + 52) / 255, 0.2).min() == 1


def test_dice_counts_only_images_with_few_white_pixels() -> None:
    logit = torch.randn(3, 1, 10, 10)
    mask = torch.zeros(3, 1, 10, 10)
    mask[0, 0, 0, :5] = 1
    mask[1, 0, :5] = 1
    found = logit.sigmoid()

    def dice(number: int) -> torch.Tensor:
        pair = found[number], mask[number]
        return 1 - (2 * (pair[0] * pair[1]).sum() + 1) / (pair[0].sum() + pair[1].sum() + 1)

    torch.testing.assert_close(rare_dice(logit, mask), (dice(0) + dice(2)) / 3)
    torch.testing.assert_close(
        rare_dice(torch.where(mask > 0, 20.0, -20.0), mask), torch.tensor(0.0), atol=1e-4, rtol=0
    )


def test_cross_entropy_equals_the_formula() -> None:
    logit, mask = torch.randn(2, 1, 5, 6), (torch.rand(2, 1, 5, 6) > 0.5).float()
    torch.testing.assert_close(cross_entropy(logit, mask), F.binary_cross_entropy(logit.sigmoid(), mask))
    assert cross_entropy(logit.bfloat16(), mask).dtype == torch.float32
    white, black = (cross_entropy(logit[mask == side], mask[mask == side]) for side in (1, 0))
    count = mask.sum(), (1 - mask).sum()
    torch.testing.assert_close(
        cross_entropy(logit, mask, 3.0), (3 * count[0] * white + count[1] * black) / mask.numel()
    )


@pytest.mark.parametrize("level", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("white", [0.0, 1.0])
def test_mask_losses_are_finite_for_extreme_logits_and_masks(level: float, white: float) -> None:
    logit = torch.full((2, 1, 4, 4), level, requires_grad=True)
    mask = torch.full((2, 1, 4, 4), white)
    loss = cross_entropy(logit, mask) + rare_dice(logit, mask)
    loss.backward()
    assert loss.isfinite()
    assert logit.grad.isfinite().all()


def test_l1_is_the_mean_of_differences_in_float32() -> None:
    image, target = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(l1(image, target), F.l1_loss(image, target))
    assert l1(image.bfloat16(), target).dtype == torch.float32
    assert l1(image, image) == 0


def test_huber_has_the_slope_of_l1_for_large_errors_and_follows_the_error_below_delta() -> None:
    target = torch.zeros(3)
    image = torch.tensor([0.05, 0.2, 0.9], requires_grad=True)
    huber(image, target, 0.2).backward()
    torch.testing.assert_close(image.grad, torch.tensor([0.25, 1.0, 1.0]) / 3)
    assert huber(target, target, 0.2) == 0
    torch.testing.assert_close(huber(image, target, 1e-6), l1(image, target), atol=1e-6, rtol=0)


def test_log_mse_weighs_a_light_and_a_dense_degradation_alike() -> None:
    target = torch.rand(2, 3, 16, 16)
    errors = torch.randn(2, 3, 16, 16) * torch.tensor([0.03, 0.3])[:, None, None, None]
    factors = torch.ones(2, 1, 1, 1, requires_grad=True)
    log_mse(target + factors * errors, target).backward()
    light, dense = factors.grad.flatten().tolist()
    assert 0.4 < light / dense < 1.0  # nearly the same gain in dB for the same share of the error
    squared = torch.ones(2, 1, 1, 1, requires_grad=True)
    (squared * errors).square().mean().backward()
    assert squared.grad[0] < 0.02 * squared.grad[1]
    assert log_mse(target, target) == pytest.approx(np.log(LEVEL), rel=1e-5)  # finite without an error
