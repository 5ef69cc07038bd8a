"""torch.compile changes the time of an update and not the weights; without a compiler a training goes on uncompiled."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from restorekit.config import DakdRun
from restorekit.distributed.progress_bar import EVENTS
from restorekit.models.dakd.blocks import resized
from restorekit.objectives.dakd import DakdLosses
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.state import StateStore
from restorekit.training.world import compiled
from tests.training.conftest import ALONE, MakeJob, learnt
from tests.training.ranks import SPAWNED, carrying, do


def losses_of_both_phases(job: Job) -> list[dict[str, torch.Tensor]]:
    """The losses of three updates on noise in each phase: the teacher's, then the student's."""
    learner, losses = Learner(job, ALONE), []
    for phase in range(2):
        learner.enter(phase)
        for step in range(3):
            torch.manual_seed(step)
            losses.append(learner.update({name: torch.rand(2, 3, 24, 24) for name in ("degraded", "clean")}, 1.0, 0.01))
    return losses


def test_gradients_of_a_compiled_network_reach_the_network_itself() -> None:
    torch.manual_seed(0)
    network, image = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1)), torch.rand(1, 3, 8, 8)
    wanted = torch.autograd.grad(network(image).square().mean(), list(network.parameters()))
    quick = compiled(network, ALONE.device)
    assert quick is not network
    quick(image).square().mean().backward()
    for parameter, gradient in zip(network.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_maps_are_enlarged_alike_when_compiled() -> None:
    torch.manual_seed(0)
    maps = torch.rand(2, 3, 5, 7, requires_grad=True)
    quick = torch.compile(resized)
    for size in ((10, 14), (9, 14)):  # doubling has a code path of its own
        found, wanted = quick(maps, size), resized(maps, size)
        torch.testing.assert_close(found, wanted)
        weight = torch.rand_like(wanted)
        gradients = [torch.autograd.grad((made * weight).sum(), maps)[0] for made in (found, wanted)]
        torch.testing.assert_close(*gradients)


@pytest.mark.slow
def test_a_compiled_training_learns_the_same(make_job: MakeJob) -> None:
    plain, quick = learnt(make_job(), 2), learnt(make_job(compile=True), 2)
    assert plain.keys() == quick.keys()
    for name, weights in plain.items():
        torch.testing.assert_close(quick[name], weights, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_a_compiled_training_in_two_phases_has_the_losses_of_a_plain_one(make_job: MakeJob) -> None:
    # Losses, not weights: AdamW divides a gradient by its size, and the gradient of one weight is rounding error (-5e-9
    # plain, -2e-9 compiled; others have 5e-3). After two updates that weight differs by 0.0017, and no other does.
    spec = DakdRun.model_validate(
        {
            "model": "dakd",
            "dataset": "rain",
            "options": {"width": 2, "tau": 0.1, "init": "he", "negative_slope": 0.2},
            "objective": {"localise_steps": 4, "pixel": "huber"},
        }
    )
    plain, quick = (losses_of_both_phases(replace(job, spec=spec)) for job in (make_job(), make_job(compile=True)))
    for one, other in zip(plain, quick, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


def test_without_a_compiler_a_training_warns_and_goes_on(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    job = make_job(compile=True, steps=2)
    do(tmp_path, carrying(job), start=SPAWNED)  # in a process that has not found a compiler yet
    assert StateStore(job.state).latest_step() == 2
    events = (job.state / EVENTS).read_text()
    assert "warning: compile: true has no effect" in events
    assert "apt-get install g++" in events


def test_compiled_losses_have_the_values_and_gradients_of_plain_ones() -> None:
    torch.manual_seed(0)
    maps = [torch.rand(2, channels, side, side, requires_grad=True) for channels, side in ((4, 16), (8, 8))]
    given = [torch.rand_like(features) for features in maps]
    run = {"model": "dakd", "dataset": "rain", "options": {"tau": 0.1}, "objective": {"localise_steps": 1}}
    losses = DakdLosses(DakdRun.model_validate(run))
    wanted = losses.distillation(maps, given)
    plain = losses.distillation
    losses.compile_losses()
    assert losses.distillation is not plain
    found = losses.distillation(maps, given)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(torch.autograd.grad(found, maps), torch.autograd.grad(wanted, maps), strict=True):
        torch.testing.assert_close(one, other)
