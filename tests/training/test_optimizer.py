"""The update: the learning rate, Muon's steps and AdamW's, and the averages of the weights."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from restorekit.config import TrainConfig
from restorekit.training.optimizer import Ema, MuonAdamW, learning_rate, orthogonal

RATE, BETAS = 0.01, (0.9, 0.99)


def config(**changes) -> TrainConfig:
    return TrainConfig.model_validate({"steps": 100, "batch_size": 4, "crop": 32, "lr": 0.2} | changes)


def test_cosine_falls_from_the_rate_to_0_after_the_warm_up() -> None:
    settings = config(warmup_steps=10)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.2 * 0.001
    assert rates[55] == pytest.approx(0.2 * 0.5 * (1 + math.cos(math.pi * 0.5)))


def test_milestones_are_shares_of_the_steps() -> None:
    settings = config(schedule="milestones", milestones=[[0.35, 0.5], [0.8, 0.25]])
    assert [learning_rate(settings, step, 100) for step in (0, 34, 35, 79, 80, 99)] == [0.2, 0.2, 0.1, 0.1, 0.05, 0.05]


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
    """The least singular value over the greatest: 1 for an orthogonal matrix."""
    lengths = torch.linalg.svdvals(matrix)
    return float(lengths.min() / lengths.max())


def test_muon_moves_a_filter_as_far_in_every_direction() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    learn(model, muon(model), 1)
    moved = (model[0].weight.detach() - before).flatten(1)  # 8 x 27
    assert evenness(moved) > 0.25 > 2 * evenness(model[0].weight.grad.flatten(1))
    assert moved.square().mean().sqrt() == pytest.approx(0.2 * RATE, rel=0.3)


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (24, 2, 3, 3), (12, 6, 1, 1)], ids=["wide", "tall", "1x1"])
def test_muon_is_torchs_but_for_bfloat16(shape: tuple[int, ...]) -> None:
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


def test_matrices_of_a_shape_move_together_as_each_alone() -> None:
    torch.manual_seed(0)
    shapes = [(8, 3, 3, 3), (24, 2, 3, 3), (8, 3, 3, 3), (24, 2, 3, 3), (8, 3, 3, 3)]
    together = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    alone = [nn.Parameter(one.detach().clone()) for one in together]
    optimizers = [MuonAdamW(ones, RATE, BETAS, 0.3) for ones in (together, *([one] for one in alone))]
    for _ in range(4):
        for one, other in zip(together, alone, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3 * RATE)


def test_matrices_are_turned_alike_in_one_batch_and_each_by_itself() -> None:
    torch.manual_seed(0)
    stacks = [torch.randn(shape) for shape in [(2, 8, 27), (1, 8, 72), (3, 27, 8), (1, 4, 4), (2, 8, 8)]]
    for found, wanted in zip(orthogonal(stacks, join=True), orthogonal(stacks), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.5


@pytest.mark.parametrize("make", [muon, lambda model: torch.optim.AdamW(model.parameters(), RATE, fused=True)])
def test_a_step_that_is_told_of_an_infinity_changes_nothing(
    make: Callable[[nn.Module], torch.optim.Optimizer],
) -> None:
    model, other = network(), network()
    optimizer, wanted = make(model), make(other)
    learn(model, optimizer, 2)
    learn(other, wanted, 2)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.found_inf = torch.tensor(0.0)  # type: ignore[attr-defined]
    for seed in (2, 3):
        for one, by in ((model, optimizer), (other, wanted)):
            torch.manual_seed(seed)
            by.zero_grad()
            (one(torch.rand(2, 3, 8, 8)) - 0.5).square().mean().backward()
            by.step()
    assert all(torch.equal(one, same) for one, same in zip(model.parameters(), other.parameters(), strict=True))


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


def test_each_step_takes_the_rate_that_is_set() -> None:
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


def test_a_parameter_without_a_gradient_stays() -> None:
    model = network()
    frozen = model[0].requires_grad_(False).weight.clone()
    learn(model, muon(model), 2)
    assert torch.equal(model[0].weight, frozen)


def test_the_average_follows_the_weights_and_gives_them_back() -> None:
    model = nn.Linear(3, 2)
    frozen = model.bias.requires_grad_(False)
    ema = Ema(model, 0.9)
    assert list(ema.weights) == ["weight"]
    with torch.no_grad():
        model.weight.fill_(1.0)
    for step in range(1, 300):
        ema.update(model, step)
    own = model.weight.clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    with ema.swapped_in(model):
        torch.testing.assert_close(model.weight, own, rtol=0, atol=1e-4)
    assert torch.equal(model.weight, own + 1.0)
    assert torch.equal(model.bias, frozen)


def test_running_statistics_are_averaged_with_the_weights() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    average = Ema(model, decay=0.5)
    before = model[1].running_mean.clone()
    model(torch.randn(2, 3, 8, 8) + 5)
    after = model[1].running_mean.clone()
    average.update(model, step=1000)
    with average.swapped_in(model):
        torch.testing.assert_close(model[1].running_mean, (before + after) / 2)
    assert torch.equal(model[1].running_mean, after)
