"""Trainings small enough to be run many times, and ways to run, kill and compare them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restorekit.config import DakdRun, DmgnRun, TrainConfig
from restorekit.config.run import Run, train_layered
from restorekit.distributed.lease import open_states
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.loop import Report, train
from restorekit.training.world import World

ALONE = World(0, 1, torch.device("cpu"))
NUM_SAMPLES = 22  # of the train split; at 4 a step an epoch has six steps, the last with two samples

MakeJob = Callable[..., Job]


def tiny_job(
    shards: Path,
    folder: Path,
    state: str = "state",
    objective: dict[str, Any] | None = None,
    width: int = 2,
    spec: Run | None = None,
    **changes: Any,
) -> Job:
    """A job of DMGN, or of `spec`, in the folder `state`; the other arguments change the loop's settings."""
    settings = {
        "steps": 8, "batch_size": 4, "crop": 24, "lr": 0.01, "precision": "fp32", "threads_per_worker": 1,
        "checkpoint_every": 3, "log_every": 1, "validate_every": 8, "grad_clip": 50.0,
    }  # fmt: skip
    spec = spec or DmgnRun.model_validate(
        {
            "model": "dmgn",
            "dataset": "rain",
            "options": {"variant": "rain", "width": width, "trunk": "none", "init": "he", "zero_last": True},
            "objective": {"pixel": "huber"} | (objective or {}),
        }
    )
    config = TrainConfig.model_validate(train_layered(settings, changes))
    return Job(f"{spec.model}-{spec.dataset}", "rain", 5, spec, config, shards, folder / state)


@pytest.fixture
def make_job(tiny_shards: Path, tmp_path: Path) -> MakeJob:
    """Makes jobs as `tiny_job` does, in folders of the test's own."""
    return partial(tiny_job, tiny_shards, tmp_path)


def tiny_dakd_job(
    shards: Path,
    folder: Path,
    state: str = "state",
    options: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    starts_as: dict[str, Any] | None = None,
    shared: bool = False,
    **changes: Any,
) -> Job:
    """A job of DAKD, which learns in two phases; with `shared`, the first one is kept for other trainings."""
    spec = DakdRun.model_validate(
        {
            "model": "dakd",
            "dataset": "rain",
            "options": {"width": 2, "init": "he", "zero_last": True} | (options or {}),
            "objective": {"localise_steps": 4, "patience": 9} | (objective or {}),
            "starts_as": starts_as,
        }
    )
    settings = {"steps": 9, "validate_every": 2, "grad_clip": 1.0} | changes
    job = tiny_job(shards, folder, state, spec=spec, **settings)
    return replace(job, phases=folder / "phases") if shared else job


@pytest.fixture
def make_dakd_job(tiny_shards: Path, tmp_path: Path) -> MakeJob:
    """Makes jobs as `tiny_dakd_job` does, in folders of the test's own."""
    return partial(tiny_dakd_job, tiny_shards, tmp_path)


Undisturbed = Callable[..., "tuple[Job, list[Report]]"]


@pytest.fixture(scope="session")
def undisturbed(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A function that gives a training that nothing broke off, and its reports; do not change its files.

    Each is trained once. The function takes the settings of `tiny_job`, or with `make` of another.
    """
    found: dict[str, tuple[Job, list[Report]]] = {}

    def trained(make: MakeJob = tiny_job, **settings: Any) -> tuple[Job, list[Report]]:
        named = f"{make} {sorted(settings.items())}"
        if named not in found:
            job = make(tiny_shards, tmp_path_factory.mktemp("undisturbed"), **settings)
            found[named] = job, run(job)
        return found[named]

    return trained


class KilledError(Exception):
    """The end of a training that `run` kills."""


def run(job: Job, kill_after: int | None = None) -> list[Report]:
    """The reports of a training; raises KilledError at the report of the losses of step `kill_after`."""
    reports: list[Report] = []

    def note(report: Report) -> None:
        reports.append(report)
        if report.step == kill_after and "loss" in report.metrics:
            raise KilledError

    train(job, ALONE, note, open_states)
    return reports


def run_twice(job: Job, kill_after: int) -> list[Report]:
    """The reports of a training that goes on after it was killed."""
    with pytest.raises(KilledError):
        run(job, kill_after)
    return run(job)


def final(job: Job) -> dict[str, Tensor]:
    """All tensors of the state of a job's last step."""
    state = open_states(job.state).load_latest()
    assert state is not None
    assert state.step == job.config.steps
    return state.tensors


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Both have the same names, and the same tensors to the bit."""
    assert found.keys() == expected.keys()
    assert [name for name, tensor in expected.items() if not torch.equal(tensor, found[name])] == []


def learnt(job: Job, updates: int) -> dict[str, Tensor]:
    """The weights that a job learns from updates on noise."""
    learner = Learner(job, ALONE)
    for step in range(updates):
        torch.manual_seed(step)
        learner.update({name: torch.rand(2, 3, 24, 24) for name in ("degraded", "clean", "layer")}, 1.0, 0.01)
    return learner.learnt()
