"""Muon's steps: of AdamW's size and at one speed in all directions; what is no matrix moves as AdamW moves it."""

import pytest
import torch
from torch import nn

from restorekit.training.optimizer import MuonAdamW

RATE, BETAS = 0.01, (0.9, 0.99)


def network(**layout: torch.memory_format) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 1)).to(**layout)  # type: ignore[call-overload]


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        (model(torch.rand(2, 3, 8, 8)) - 0.5).square().mean().backward()
        optimizer.step()


def muon(model: nn.Module) -> MuonAdamW:
    return MuonAdamW(list(model.parameters()), RATE, BETAS, weight_decay=0.0)


def evenness(matrix: torch.Tensor) -> float:
    """Of the lengths of its directions, the least to the greatest: 1 where it is orthogonal."""
    lengths = torch.linalg.svdvals(matrix)
    return float(lengths.min() / lengths.max())


def test_a_filter_moves_as_far_in_every_direction() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    learn(model, muon(model), 1)
    moved = (model[0].weight.detach() - before).flatten(1)  # 8 x 27
    assert evenness(moved) > 0.25 > 2 * evenness(model[0].weight.grad.flatten(1))
    assert moved.square().mean().sqrt() == pytest.approx(0.2 * RATE, rel=0.3)


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (24, 2, 3, 3), (12, 6, 1, 1)], ids=["wide", "tall", "1x1"])
def test_it_is_torchs_but_for_bfloat16(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(shape))
    matrix = nn.Parameter(weight.detach().clone().flatten(1))
    first = matrix.detach().clone()
    ours = MuonAdamW([weight], RATE, BETAS, weight_decay=0.3)
    theirs = torch.optim.Muon([matrix], RATE, 0.3, adjust_lr_fn="match_rms_adamw")
    for _ in range(6):
        weight.grad = torch.randn(shape)
        matrix.grad = weight.grad.flatten(1).clone()
        ours.step()
        theirs.step()
    moved = matrix.detach() - first
    assert (weight.detach().flatten(1) - matrix.detach()).norm() < 0.05 * moved.norm()


def test_vectors_and_single_rows_move_as_with_adamw() -> None:
    model, other = network(), network()
    rest = [other[0].bias, other[2].weight, other[2].bias]
    learn(model, muon(model), 1)
    learn(other, torch.optim.AdamW(rest, RATE, BETAS, weight_decay=0.0, fused=True), 1)
    for name, moved in other.named_parameters():
        assert torch.equal(model.get_parameter(name), moved) is (name != "0.weight"), name


def test_the_memory_layout_changes_no_step() -> None:
    plain, turned = network(), network(memory_format=torch.channels_last)
    learn(plain, muon(plain), 5)
    learn(turned, muon(turned), 5)
    for one, other in zip(plain.parameters(), turned.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.01 * RATE)


def test_the_rate_of_each_step_is_the_one_that_is_set() -> None:
    model = network()
    optimizer = muon(model)
    learn(model, optimizer, 2)
    before = {name: values.detach().clone() for name, values in model.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    learn(model, optimizer, 1)
    assert all(torch.equal(values, before[name]) for name, values in model.named_parameters())


def test_a_closure_gives_the_gradients_and_its_loss() -> None:
    model, other = network(), network()
    optimizer = muon(model)

    def closure() -> torch.Tensor:
        torch.manual_seed(0)
        optimizer.zero_grad()
        loss = (model(torch.rand(2, 3, 8, 8)) - 0.5).square().mean()
        loss.backward()
        return loss

    assert optimizer.step(closure) > 0
    learn(other, muon(other), 1)
    assert all(torch.equal(one, wanted) for one, wanted in zip(model.parameters(), other.parameters(), strict=True))


def test_what_has_no_gradient_stays() -> None:
    model = network()
    frozen = model[0].requires_grad_(False).weight.clone()
    learn(model, muon(model), 2)
    assert torch.equal(model[0].weight, frozen)
