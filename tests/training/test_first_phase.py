"""A first phase is learnt once for all trainings that begin with the same one, and by nobody who begins otherwise."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restorekit.cluster import ray_cluster
from restorekit.config import TrainConfig, read_run
from restorekit.config.dakd import DakdObjective, DakdOptions
from restorekit.distributed.figures import read_curves
from restorekit.distributed.lease import open_states
from restorekit.distributed.ray_train import fit
from restorekit.shards.manifest import ShardManifest
from restorekit.storage import local_path
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.loop import Report, train
from restorekit.training.phases import first_phase_folder
from restorekit.training.state import StateStore, unpack
from restorekit.training.world import World

ALONE = World(0, 1, torch.device("cpu"))
LOCALISING = 3  # steps

# Another value of everything that can be set, but for what a first phase cannot differ in: its length.
OTHER_OPTIONS: dict[str, Any] = {
    "width": 3, "tau": 0.3, "gates": "none", "context": False, "mask_input": True, "fusion": True,
    "init": "framework", "zero_last": False, "leak": 0.1, "recompute": True,
}  # fmt: skip
OTHER_OBJECTIVES: dict[str, Any] = {
    "localise_steps": 2, "patience": 5, "white_weight": 2.0, "dice": 0.0, "pixel": "huber", "huber_delta": 0.2,
    "distillation": 0.0, "attentive": False, "warm_start": True,
}  # fmt: skip
OF_THE_TEACHER = {
    "width", "tau", "init", "leak", "recompute", "localise_steps", "patience", "white_weight", "dice",
}  # fmt: skip


@pytest.fixture
def dakd_job(tiny_shards: Path, tmp_path: Path) -> Any:
    def make(state: str, shared: bool = True, changed: dict[str, Any] | None = None, **changes: Any) -> Job:
        changed = changed or {}
        options = {"width": 2, "init": "he", "zero_last": True}
        objective: dict[str, Any] = {"localise_steps": LOCALISING, "patience": 9}
        if "huber_delta" in changed:
            objective["pixel"] = "huber"
        spec = read_run(
            {
                "model": "dakd",
                "dataset": "rain",
                "options": options | {name: value for name, value in changed.items() if name in OTHER_OPTIONS},
                "objective": objective | {name: value for name, value in changed.items() if name in OTHER_OBJECTIVES},
                # As an ablation, which begins with the weights of what it changes.
                "starts_as": {
                    name: DakdOptions.model_validate(options).model_dump()[name]
                    for name in changed
                    if name in OTHER_OPTIONS and name not in OF_THE_TEACHER
                },
            }
        )
        settings = {
            "steps": 6, "batch_size": 4, "crop": 24, "lr": 0.01, "precision": "fp32", "threads_per_worker": 1,
            "checkpoint_every": 6, "log_every": 1, "validate_every": 2, "grad_clip": 1.0,
        }  # fmt: skip
        config = TrainConfig.model_validate(settings | changes)
        phases = tmp_path / "phases" if shared else None
        return Job("dakd-rain", "rain", 5, spec, config, tiny_shards, tmp_path / state, phases)

    return make


def run(job: Job) -> list[Report]:
    told: list[Report] = []
    train(job, ALONE, told.append, open_states)
    return told


def weights(job: Job) -> dict[str, Tensor]:
    state = StateStore(job.state).load_latest()
    assert state is not None
    return unpack("model", state.tensors)


def first_phase(job: Job) -> Path:
    learner = Learner(job, ALONE)
    return first_phase_folder(job, learner.phase, learner.learnt())


def test_all_that_can_be_set_is_tried() -> None:
    assert set(OTHER_OPTIONS) == set(DakdOptions.model_fields)
    assert set(OTHER_OBJECTIVES) == set(DakdObjective.model_fields)


def test_whoever_takes_it_ends_as_if_it_had_learnt_it(dakd_job: Any) -> None:
    run(dakd_job("one"))
    changed = {"distillation": 0.0, "gates": "none", "warm_start": True}
    taking, learning = dakd_job("two", changed=changed), dakd_job("three", shared=False, changed=changed)
    told, whole = run(taking), run(learning)
    assert (told[0].step, told[0].resumed) == (LOCALISING, True)
    assert not any("loss/cross_entropy" in one.metrics for one in told)
    assert any("loss/cross_entropy" in one.metrics for one in whole)
    found, expected = weights(taking), weights(learning)
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


@pytest.mark.parametrize("setting", [*OTHER_OPTIONS, *OTHER_OBJECTIVES])
def test_it_is_shared_just_where_the_setting_does_not_matter(dakd_job: Any, setting: str) -> None:
    changed = {setting: {**OTHER_OPTIONS, **OTHER_OBJECTIVES}[setting]}
    one, other = dakd_job("one"), dakd_job("other", changed=changed)
    assert (first_phase(one) != first_phase(other)) is (setting in OF_THE_TEACHER)
    if setting not in OF_THE_TEACHER:
        run(one)
        run(replace(other, phases=None))
        learnt, again = weights(one), weights(other)
        assert all(torch.equal(learnt[name], again[name]) for name in learnt if name.startswith("teacher."))


def test_other_data_seeds_and_rates_have_their_own(dakd_job: Any, tiny_shards: Path, tmp_path: Path) -> None:
    job = dakd_job("one")
    shutil.copytree(tiny_shards, tmp_path / "fewer")
    manifest = ShardManifest.load(tiny_shards / "train")
    replace(manifest, shards=manifest.shards[:2]).save(tmp_path / "fewer" / "train")
    others = [
        replace(job, seed=6), replace(job, run="dakd-rain-other"), replace(job, shards=tmp_path / "fewer"),
        dakd_job("one", lr=0.02), dakd_job("one", validate_every=1), dakd_job("one", crop=20),
    ]  # fmt: skip
    folders = [first_phase(one) for one in [job, *others]]
    assert len(set(folders)) == len(folders)
    assert first_phase(dakd_job("one", steps=9)) == first_phase(job)  # of which the student has more


def test_another_machine_takes_it_from_the_storage(
    dakd_job: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine has a cache of its own, and only the bucket in common."""
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "machine-1"))
    run(replace(dakd_job("one"), phases=local_path(f"{bucket}/phases")))
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "machine-2"))
    other = replace(dakd_job("two", changed={"distillation": 0.0}), phases=local_path(f"{bucket}/phases"))
    assert other.phases is not None
    assert not other.phases.exists()
    told = run(Job.from_json(other.to_json()))
    assert (told[0].step, told[0].first_phase) == (LOCALISING, first_phase(other))


def test_a_training_of_one_phase_keeps_none(make_job: Any, tmp_path: Path) -> None:
    run(replace(make_job(), phases=tmp_path / "phases"))
    assert not (tmp_path / "phases").exists()


def test_workers_of_ray_take_it_with_its_curves(dakd_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    one, two = dakd_job("one"), dakd_job("two", changed={"attentive": False}, num_workers=2)
    with ray_cluster(2):
        fit(one)
        fit(two)
    curves = {job.state.name: read_curves(job.state / "curves.csv") for job in (one, two)}
    localising = {name: [row for row in rows if row[1] == "loss/cross_entropy"] for name, rows in curves.items()}
    assert [step for step, _, _ in localising["one"]] == [1, 2, 3]
    assert localising["two"] == localising["one"]
    assert [step for step, name, _ in curves["two"] if name == "loss/pixel"] == [4, 5, 6]
    learnt, taken = weights(one), weights(two)
    assert all(torch.equal(learnt[name], taken[name]) for name in learnt if name.startswith("teacher."))
    assert "with the first phase of" in (two.state / "events.log").read_text()
