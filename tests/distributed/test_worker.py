"""A training in the driver's own process: the weights and words of one on a cluster, and an error costs a few steps."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from restorekit.distributed.figures import read_curves
from restorekit.distributed.ray_train import fits_here
from restorekit.distributed.worker import fit_here
from restorekit.errors import RestorekitError
from restorekit.training.state import StateStore
from tests.training.conftest import MakeJob, Undisturbed, assert_equal, final


class Failing:
    """A logger with an error of its own at a step: the first time that it is told of the step, or each time."""

    def __init__(self, folder: Path, step: int, always: bool) -> None:
        self._mark, self._step, self._always = folder / "mark", step, always

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        if step == self._step and (self._always or not self._mark.exists()):
            self._mark.touch()
            raise ZeroDivisionError("a fault of the program")

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        return


def test_a_training_ends_with_the_weights_of_the_loop_and_a_second_call_with_the_same(
    make_job: MakeJob, undisturbed: Undisturbed
) -> None:
    here = make_job("here")
    whole, _ = undisturbed()
    for _ in range(2):
        fit_here(here)
        assert_equal(final(here), final(whole))
    steps = [step for step, name, _ in read_curves(here.state / "curves.csv") if name == "loss"]
    assert steps == list(range(1, 9))


def test_an_unforeseen_error_costs_the_steps_since_the_last_state(
    make_job: MakeJob, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    failing = make_job("failing")
    whole, _ = undisturbed()
    fit_here(failing, partial(Failing, tmp_path, 5, always=False))
    assert_equal(final(failing), final(whole))
    steps = [step for step, name, _ in read_curves(failing.state / "curves.csv") if name == "loss"]
    assert steps == list(range(1, 9))
    events = (failing.state / "events.log").read_text()
    assert "warning: ZeroDivisionError: a fault of the program" in events
    assert "resumed at step 3 of 8" in events


def test_an_error_that_stays_is_reported_after_as_many_attempts_as_are_allowed(
    make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job(max_failures=1)
    with pytest.raises(RestorekitError, match=r"failed: (?s:.*)a fault of the program(?s:.*)a state of step 3 is kept"):
        fit_here(job, partial(Failing, tmp_path, 5, always=True))
    assert (job.state / "events.log").read_text().count("going on from the last state") == 1
    assert StateStore(job.state).latest_step() == 3


def test_a_refusal_has_the_workers_own_words_and_ends_with_its_cause(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    copied = tmp_path / "copied"
    shutil.copytree(job.shards, copied)
    victim = copied / "train" / "1.tar"
    sound = victim.read_bytes()
    victim.write_bytes(sound[::-1])
    broken = replace(job, shards=copied)
    with pytest.raises(RestorekitError, match=r"^shard .*1\.tar is not the one its manifest names"):
        fit_here(broken)
    victim.write_bytes(sound)
    fit_here(broken)
    assert StateStore(job.state).latest_step() == 8


def test_one_worker_without_a_gpu_and_without_a_named_cluster_needs_none(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert fits_here(make_job())
    assert not any(fits_here(make_job(**needs)) for needs in ({"num_workers": 2}, {"use_gpu": True}))
    assert not fits_here(make_job(num_workers=(1, 2)))
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert not fits_here(make_job())
