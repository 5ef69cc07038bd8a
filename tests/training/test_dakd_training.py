"""DAKD's two phases in one training: resumed in either to the bit, ended by a standstill, and through two workers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restorekit.cluster import ray_cluster
from restorekit.config import DakdRun, TrainConfig
from restorekit.distributed.figures import read_curves
from restorekit.distributed.ray_train import fit
from restorekit.models.checkpoint import load_model
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.state import StateStore, export_model, unpack
from restorekit.training.world import World

ALONE = World(0, 1, torch.device("cpu"))


class KilledError(Exception):
    pass


@pytest.fixture
def dakd_job(tiny_shards: Path, tmp_path: Path) -> Any:
    def make(state: str, localise_steps: int = 4, patience: int = 9, warm_start: bool = False, **changes: Any) -> Job:
        settings = {
            "steps": 9, "batch_size": 4, "crop": 24, "lr": 0.01, "precision": "fp32", "threads_per_worker": 1,
            "checkpoint_every": 3, "log_every": 1, "validate_every": 2, "grad_clip": 1.0,
        }  # fmt: skip
        spec = DakdRun.model_validate(
            {
                "model": "dakd",
                "dataset": "rain",
                "options": {"width": 2, "init": "he", "zero_last": True},
                "objective": {"localise_steps": localise_steps, "patience": patience, "warm_start": warm_start},
            }
        )
        config = TrainConfig.model_validate(settings | changes)
        return Job("dakd-rain", "rain", 5, spec, config, tiny_shards, tmp_path / state)

    return make


def run(job: Job, kill_after: int | None = None) -> list[Report]:
    reports = []

    def report(told: Report) -> None:
        reports.append(told)
        if told.step == kill_after and "loss" in told.metrics:
            raise KilledError

    train(job, ALONE, report)
    return reports


def tensors(job: Job) -> dict[str, Tensor]:
    state = StateStore(job.state).load_latest()
    assert state is not None
    return state.tensors


@pytest.mark.parametrize("kill_after", [2, 4, 7])
@pytest.mark.parametrize("warm", [False, True])
def test_a_killed_training_ends_with_the_same_weights(dakd_job: Any, kill_after: int, warm: bool) -> None:
    """Steps 1 to 4 localise; states are of steps 3, 6 and 9."""
    whole, killed = dakd_job("whole", warm_start=warm), dakd_job("killed", warm_start=warm)
    run(whole)
    with pytest.raises(KilledError):
        run(killed, kill_after)
    run(killed)
    expected, found = tensors(whole), tensors(killed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_both_phases_are_in_the_curves_and_in_the_model(dakd_job: Any, tmp_path: Path) -> None:
    job = dakd_job("both", flips=["horizontal", "transpose"])
    reports = run(job)
    losses = {told.step: set(told.metrics) for told in reports if "loss" in told.metrics}
    for step, names in losses.items():
        assert ("loss/cross_entropy" in names) is (step <= 4), step
        assert ("loss/pixel" in names) is (step > 4), step
    assert all({"val/mask_f1", "val/mask_iou"} <= set(told.metrics) for told in reports if "val/gain" in told.metrics)
    export_model(job, StateStore(job.state), tmp_path / "model", {})
    model, record = load_model(tmp_path / "model")
    assert record["options"]["tau"] == 0.1
    assert record["flips"] == ["horizontal", "transpose"]
    assert any(name.startswith("teacher.") for name in model.state_dict())
    image = torch.rand(1, 3, 21, 18)
    assert model.restore(image).shape == image.shape  # type: ignore[operator]


def test_the_teacher_stands_still_while_the_student_learns(dakd_job: Any) -> None:
    short, longer = dakd_job("short", steps=6), dakd_job("longer", steps=9)
    for job in (short, longer):
        run(job)
    first, last = (unpack("model", tensors(job)) for job in (short, longer))
    for name, tensor in last.items():
        if name.startswith("teacher."):
            assert torch.equal(tensor, first[name]), name
    assert not torch.equal(last["student.decoder.last.weight"], first["student.decoder.last.weight"])


def test_a_standstill_of_f1_ends_the_first_phase(dakd_job: Any) -> None:
    """At a rate of nothing F1 does not rise after the first validation, at step 2."""
    reports = run(dakd_job("still", localise_steps=8, patience=1, lr=1e-12))
    phases = {told.step: told.metrics["phase"] for told in reports if "phase" in told.metrics}
    assert phases == {step: float(step > 4) for step in range(1, 10)}


def test_two_workers_learn_what_one_does(dakd_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all 22 samples in a step, both see the same batch, whatever the order; the second step is the student's."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = {"batch_size": 22, "steps": 2, "crop": 32, "localise_steps": 1, "validate_every": 1}
    one, two = dakd_job("one", **settings), dakd_job("two", num_workers=2, **settings)
    told = run(one)
    with ray_cluster(2):
        fit(two)
    rows = {(step, name): value for step, name, value in read_curves(two.state / "curves.csv")}
    for report in told:
        for name, value in report.metrics.items():
            if name.startswith(("loss", "val/", "grad_norm", "phase")):
                assert rows[report.step, name] == pytest.approx(value, rel=1e-2, abs=1e-4), name
