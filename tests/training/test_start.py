"""A training that starts from another model's weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from restorekit.config import read_run
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.checkpoint import load_model, save_model
from restorekit.training.job import Job, job_digest
from restorekit.training.learner import Learner
from restorekit.training.start import Start, keep_start
from tests.training.conftest import ALONE, MakeJob, final, run

OPTIONS = {"variant": "rain", "width": 2, "trunk": "none", "init": "he", "zero_last": True}
RUN = {"model": "dmgn", "dataset": "rain", "options": OPTIONS, "objective": {"pixel": "huber"}, "start_from": "./other"}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The folder of a model whose weights no run of these tests draws."""
    torch.manual_seed(99)
    model = create_model("dmgn", **OPTIONS)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.1, 0.1)
    save_model(tmp_path / "other", model, {"task": "rain"})
    return tmp_path / "other"


def started(other: Path, folder: Path) -> Start:
    return keep_start(read_run(RUN), "dmgn-rain", *load_model(other), folder)


def test_weights_and_averages_begin_with_the_other_models(make_job: MakeJob, other: Path, tmp_path: Path) -> None:
    learner = Learner(replace(make_job(), start=started(other, tmp_path / "starts")), ALONE)
    expected = load_model(other)[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in learner.model.state_dict().items())
    assert all(torch.equal(value, expected[name]) for name, value in learner.ema.weights.items())
    assert all(parameter.requires_grad for parameter in learner.model.parameters())


def test_a_training_leaves_the_start_and_learns(make_job: MakeJob, other: Path, tmp_path: Path) -> None:
    job = replace(make_job(steps=2, validate_every=2), start=started(other, tmp_path / "starts"))
    run(job)
    ended, before = final(job), load_model(other)[0].state_dict()
    moved = [name for name, value in before.items() if not torch.equal(ended[f"model.{name}"], value)]
    assert moved
    assert started(other, tmp_path / "starts") == job.start  # the kept file is as it was
    copied = Learner(job, ALONE).model.state_dict()
    assert all(torch.equal(copied[name], value) for name, value in before.items())


def test_the_state_is_named_by_the_weights_and_not_by_what_they_are_called(
    make_job: MakeJob, other: Path, tmp_path: Path
) -> None:
    start = started(other, tmp_path / "starts")
    drawn = make_job()
    named = replace(drawn, start=start, spec=drawn.spec.model_copy(update={"start_from": "./other"}))
    renamed = replace(named, spec=drawn.spec.model_copy(update={"start_from": "shipped:rain"}))
    digests = {job_digest(job, ["data"]) for job in (drawn, named, renamed)}
    assert job_digest(named, ["data"]) == job_digest(renamed, ["data"])
    assert len(digests) == 2


def test_the_start_travels_with_the_job(make_job: MakeJob, other: Path, tmp_path: Path) -> None:
    job = replace(make_job(), start=started(other, tmp_path / "starts"))
    assert Job.from_json(job.to_json()).start == job.start


def test_a_network_of_another_size_is_told_which_options_differ(other: Path, tmp_path: Path) -> None:
    wider = read_run({**RUN, "options": {**OPTIONS, "width": 4}})
    with pytest.raises(RestorekitError, match=r"does not fit the run's network .* give the run its options, width: 2"):
        keep_start(wider, "dmgn-rain", *load_model(other), tmp_path / "starts")
    assert not (tmp_path / "starts").exists()


def test_another_network_is_refused(other: Path, tmp_path: Path) -> None:
    glsgn = read_run({"model": "glsgn", "dataset": "rain", "options": {}, "objective": {}, "start_from": "./other"})
    with pytest.raises(RestorekitError, match="is a dmgn, and the run trains a glsgn"):
        keep_start(glsgn, "glsgn-rain", *load_model(other), tmp_path / "starts")


def test_an_ablation_has_its_own_first_weights() -> None:
    with pytest.raises(ValidationError, match="both give the first weights"):
        read_run({**RUN, "starts_as": {}})
