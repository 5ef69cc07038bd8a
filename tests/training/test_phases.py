"""Phases: where one ends, DAKD's two in one training, and a first phase that is learnt once for all that share it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restorekit.config.dakd import DakdObjective, DakdOptions
from restorekit.distributed.figures import read_curves
from restorekit.models.checkpoint import load_model
from restorekit.objectives import Phase
from restorekit.shards.manifest import ShardManifest
from restorekit.storage import local_path
from restorekit.training.export import export_model
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.phases import Progress, first_phase_folder, phase_steps
from restorekit.training.state import StateStore, unpack
from tests.training.conftest import ALONE, MakeJob, Undisturbed, assert_equal, final, run, run_twice, tiny_dakd_job
from tests.training.ranks import carrying, do

LOCALISING = 3  # steps of the first phase, in the trainings that share it
SHARING = {"steps": 6, "checkpoint_every": 6}

# Another value of every setting that is not the default of the trainings below.
OTHER_OPTIONS: dict[str, Any] = {
    "width": 3, "tau": 0.3, "gates": "none", "context": False, "mask_input": True, "fusion": True,
    "init": "framework", "zero_last": False, "negative_slope": 0.1,
}  # fmt: skip
OTHER_OBJECTIVES: dict[str, Any] = {
    "localise_steps": 2, "patience": 5, "white_weight": 2.0, "pixel": "huber", "huber_delta": 0.2,
    "distillation": 0.0, "attentive": False, "warm_start": True,
}  # fmt: skip
OF_THE_TEACHER = {
    "width", "tau", "init", "negative_slope", "localise_steps", "patience", "white_weight",
}  # fmt: skip


def weights(job: Job) -> dict[str, Tensor]:
    return unpack("model", final(job))


def teacher(job: Job) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights(job).items() if name.startswith("teacher.")}


def test_a_phase_ends_with_its_steps_or_when_its_watched_figure_stands_still() -> None:
    phase = Phase("localise", ("teacher.",), steps=10, watch="f1", patience=2)
    progress = Progress(began=5)
    assert not progress.is_over(phase, 14)
    assert progress.is_over(phase, 15)
    assert (phase_steps(phase, progress, 100), phase_steps(phase, progress, 12)) == (10, 7)
    for value, over in ((0.5, False), (0.4, False), (0.6, False), (0.6, False), (0.55, True)):
        progress = progress.validated(phase, {"val/f1": value})
        assert progress.is_over(phase, 9) is over, value
    assert progress.next(9) == Progress(phase=1, began=9)
    assert phase_steps(Phase("restore"), progress.next(9), 100) == 91


@pytest.mark.parametrize("kill_after", [2, 4, 7])
@pytest.mark.parametrize("warm", [False, True])
def test_a_training_killed_in_either_phase_ends_with_the_same_weights(
    make_dakd_job: MakeJob, undisturbed: Undisturbed, kill_after: int, warm: bool
) -> None:
    """Steps 1 to 4 are the first phase; states are saved at steps 3, 6 and 9."""
    killed = make_dakd_job("killed", objective={"warm_start": warm})
    whole, _ = undisturbed(tiny_dakd_job, objective={"warm_start": warm})
    run_twice(killed, kill_after)
    assert_equal(final(killed), final(whole))


def test_both_phases_are_in_the_curves_and_in_the_model(make_dakd_job: MakeJob, tmp_path: Path) -> None:
    job = make_dakd_job("both", flips=["horizontal", "transpose"])
    reports = run(job)
    losses = {report.step: set(report.metrics) for report in reports if "loss" in report.metrics}
    for step, names in losses.items():
        assert ("loss/cross_entropy" in names) is (step <= 4), step
        assert ("loss/pixel" in names) is (step > 4), step
    validations = [report for report in reports if "val/gain" in report.metrics]
    assert all({"val/mask_f1", "val/mask_iou"} <= set(report.metrics) for report in validations)
    export_model(job, StateStore(job.state), tmp_path / "model", {})
    model, record = load_model(tmp_path / "model")
    assert record["options"]["tau"] == 0.1
    assert record["flips"] == ["horizontal", "transpose"]
    assert any(name.startswith("teacher.") for name in model.state_dict())
    image = torch.rand(1, 3, 21, 18)
    assert model.restore(image).shape == image.shape  # type: ignore[operator]


def test_the_teacher_does_not_change_while_the_student_learns(make_dakd_job: MakeJob) -> None:
    short, longer = make_dakd_job("short", steps=6), make_dakd_job("longer", steps=9)
    for job in (short, longer):
        run(job)
    assert_equal(teacher(longer), teacher(short))
    name = "student.decoder.last.weight"
    assert not torch.equal(weights(longer)[name], weights(short)[name])


def test_a_standstill_of_f1_ends_the_first_phase(make_dakd_job: MakeJob) -> None:
    """At a learning rate of nearly 0, F1 does not rise after the first validation, at step 2."""
    reports = run(make_dakd_job("still", objective={"localise_steps": 8, "patience": 1}, lr=1e-12))
    phases = {report.step: report.metrics["phase"] for report in reports if "phase" in report.metrics}
    assert phases == {step: float(step > 4) for step in range(1, 10)}


def test_two_workers_learn_what_one_does(make_dakd_job: MakeJob, tmp_path: Path) -> None:
    """With all 22 samples in a step, both see the same batch, in any order; the second step is the student's."""
    settings = {"batch_size": 22, "steps": 2, "crop": 32, "objective": {"localise_steps": 1}, "validate_every": 1}
    one, two = make_dakd_job("one", **settings), make_dakd_job("two", num_workers=2, **settings)
    reports = run(one)
    do(tmp_path, carrying(two, 2))
    rows = {(step, name): value for step, name, value in read_curves(two.state / "curves.csv")}
    for report in reports:
        for name, value in report.metrics.items():
            if name.startswith(("loss", "val/", "grad_norm", "phase")):
                assert rows[report.step, name] == pytest.approx(value, rel=1e-2, abs=1e-4), name


@pytest.fixture
def sharing_job(make_dakd_job: MakeJob) -> MakeJob:
    """Makes a job whose first phase is kept for others; `changed` are settings of the network or the objective.

    As an ablation, the job begins with the weights of the job without the changes.
    """

    def make(state: str, changed: dict[str, Any] | None = None, shared: bool = True, **changes: Any) -> Job:
        changed = changed or {}
        options = {name: value for name, value in changed.items() if name in OTHER_OPTIONS}
        objective = {name: value for name, value in changed.items() if name in OTHER_OBJECTIVES}
        if "huber_delta" in changed:
            objective["pixel"] = "huber"
        unchanged = DakdOptions.model_validate({"width": 2, "init": "he", "zero_last": True}).model_dump()
        return make_dakd_job(
            state,
            options=options,
            objective={"localise_steps": LOCALISING} | objective,
            starts_as={name: unchanged[name] for name in options if name not in OF_THE_TEACHER},
            shared=shared,
            **SHARING | changes,
        )

    return make


def first_phase(job: Job) -> Path:
    learner = Learner(job, ALONE)
    return first_phase_folder(job, learner.phase, learner.learnt())


def test_every_setting_is_tried() -> None:
    assert set(OTHER_OPTIONS) == set(DakdOptions.model_fields)
    assert set(OTHER_OBJECTIVES) == set(DakdObjective.model_fields)


def test_a_training_that_takes_the_phase_ends_as_if_it_had_learnt_it(sharing_job: MakeJob) -> None:
    run(sharing_job("one"))
    changed = {"distillation": 0.0, "gates": "none", "warm_start": True}
    taking, learning = sharing_job("two", changed), sharing_job("three", changed, shared=False)
    taken, whole = run(taking), run(learning)
    assert (taken[0].step, taken[0].resumed) == (LOCALISING, True)
    assert not any("loss/cross_entropy" in report.metrics for report in taken)
    assert any("loss/cross_entropy" in report.metrics for report in whole)
    assert_equal(weights(taking), weights(learning))


@pytest.mark.parametrize("setting", [*OTHER_OPTIONS, *OTHER_OBJECTIVES])
def test_a_phase_is_shared_just_where_a_setting_does_not_matter_to_it(
    sharing_job: MakeJob, undisturbed: Undisturbed, setting: str
) -> None:
    changed = {setting: {**OTHER_OPTIONS, **OTHER_OBJECTIVES}[setting]}
    one, other = sharing_job("one"), sharing_job("other", changed)
    assert (first_phase(one) != first_phase(other)) is (setting in OF_THE_TEACHER)
    if setting not in OF_THE_TEACHER:
        run(replace(other, phases=None))
        whole, _ = undisturbed(tiny_dakd_job, objective={"localise_steps": LOCALISING}, starts_as={}, **SHARING)
        assert whole.spec == one.spec
        assert_equal(teacher(other), teacher(whole))


def test_other_data_seeds_and_rates_have_phases_of_their_own(
    sharing_job: MakeJob, tiny_shards: Path, tmp_path: Path
) -> None:
    job = sharing_job("one")
    shutil.copytree(tiny_shards, tmp_path / "fewer")
    manifest = ShardManifest.load(tiny_shards / "train")
    replace(manifest, shards=manifest.shards[:2]).save(tmp_path / "fewer" / "train")
    others = [
        replace(job, seed=6), replace(job, run="dakd-rain-other"), replace(job, shards=tmp_path / "fewer"),
        sharing_job("one", lr=0.02), sharing_job("one", validate_every=1), sharing_job("one", crop=20),
    ]  # fmt: skip
    folders = [first_phase(one) for one in [job, *others]]
    assert len(set(folders)) == len(folders)
    assert first_phase(sharing_job("one", steps=9)) == first_phase(job)  # the student alone has more steps


def test_another_machine_takes_a_phase_from_the_storage(
    sharing_job: MakeJob, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine has its own cache; the bucket alone is common to both."""
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "machine-1"))
    run(replace(sharing_job("one"), phases=local_path(f"{bucket}/phases")))
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "machine-2"))
    other = replace(sharing_job("two", {"distillation": 0.0}), phases=local_path(f"{bucket}/phases"))
    assert other.phases is not None
    assert not other.phases.exists()
    reports = run(Job.from_json(other.to_json()))
    assert (reports[0].step, reports[0].first_phase) == (LOCALISING, first_phase(other))


def test_a_training_of_one_phase_keeps_none(make_job: MakeJob, tmp_path: Path) -> None:
    run(replace(make_job(), phases=tmp_path / "phases"))
    assert not (tmp_path / "phases").exists()


def test_two_workers_take_a_phase_with_its_curves(sharing_job: MakeJob, tmp_path: Path) -> None:
    one, two = sharing_job("one"), sharing_job("two", {"attentive": False}, num_workers=2)
    do(tmp_path, carrying(one), carrying(two, 2))
    curves = {job.state.name: read_curves(job.state / "curves.csv") for job in (one, two)}
    localising = {name: [row for row in rows if row[1] == "loss/cross_entropy"] for name, rows in curves.items()}
    assert [step for step, _, _ in localising["one"]] == [1, 2, 3]
    assert localising["two"] == localising["one"]
    assert [step for step, name, _ in curves["two"] if name == "loss/pixel"] == [4, 5, 6]
    assert_equal(teacher(two), teacher(one))
    assert "with the first phase of" in (two.state / "events.log").read_text()
