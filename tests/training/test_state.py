"""A job and its state: the digest that names the state, the way to a worker, and the states on disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from restorekit.config import TrainConfig
from restorekit.errors import RestorekitError
from restorekit.shards.plan import begin_epoch
from restorekit.training.job import OPERATIONAL, Job, job_digest, with_weight_files
from restorekit.training.phases import Progress
from restorekit.training.state import StateStore, TrainingState, optimizer_tensors, restore_optimizer
from tests.training.conftest import MakeJob


def test_the_digest_follows_the_settings_that_the_weights_depend_on(make_job: MakeJob) -> None:
    def digest(job: Job, shards: str = "a") -> str:
        return job_digest(job, [shards])

    base = digest(make_job())
    assert digest(make_job(state="elsewhere")) == base
    assert digest(make_job(checkpoint_every=5, loader_workers=2, num_workers=2, validate_every=3)) == base
    assert {"checkpoint_every", "loader_workers", "num_workers"} < set(OPERATIONAL)
    assert len({base, digest(make_job(lr=0.5)), digest(make_job(width=4)), digest(make_job(), shards="b")}) == 4


def test_an_option_that_is_given_as_its_default_changes_no_digest(make_job: MakeJob) -> None:
    base = make_job()
    default = TrainConfig.model_fields["weight_decay"].default
    assert job_digest(make_job(weight_decay=default), []) == job_digest(base, [])
    assert job_digest(make_job(weight_decay=default + 0.1), []) != job_digest(base, [])


def test_a_file_of_weights_counts_by_its_bytes_and_is_found_from_the_root(make_job: MakeJob, tmp_path: Path) -> None:
    def job(root: Path, text: str) -> Job:
        (root / "weights").mkdir(parents=True)
        (root / "weights" / "vgg.pth").write_text(text)
        made = make_job()
        options = made.spec.options.model_copy(update={"trunk": "vgg19", "trunk_weights": "weights/vgg.pth"})
        spec = with_weight_files(made.spec.model_copy(update={"options": options}), made.run, root)
        assert spec.options.trunk_weights == str(root / "weights" / "vgg.pth")
        return replace(made, spec=spec)

    one, same, other = (job(tmp_path / name, text) for name, text in (("a", "x"), ("b", "x"), ("c", "y")))
    assert job_digest(one, []) == job_digest(same, []) != job_digest(other, [])
    (tmp_path / "a" / "weights" / "vgg.pth").unlink()
    with pytest.raises(RestorekitError, match=r"runs\.dmgn-rain\.options\.trunk_weights: there is no file"):
        with_weight_files(one.spec, "dmgn-rain", tmp_path)


def test_a_job_travels_as_json(make_job: MakeJob) -> None:
    job = make_job(flips=["horizontal", "vertical"])
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_a_state_comes_back_to_the_bit_and_two_are_kept(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    cursor = begin_epoch(2, 50, 8)
    tensors = {"model.w": torch.randn(3, 4), "optimizer.0.step": torch.tensor(7.0), "n": torch.arange(3)}
    for step in (10, 20, 30):
        store.save(TrainingState(step, cursor, tensors, Progress(), "fp32"))
    state = store.load_latest()
    assert state is not None
    assert (state.step, state.cursor) == (30, cursor)
    assert state.tensors.keys() == tensors.keys()
    assert all(torch.equal(state.tensors[name], tensor) for name, tensor in tensors.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000030"]


def test_an_empty_folder_has_no_state(tmp_path: Path) -> None:
    assert StateStore(tmp_path).load_latest() is None
    assert StateStore(tmp_path / "none").latest_step() is None


def test_a_restored_optimiser_makes_the_same_steps() -> None:
    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            (model.weight**2).sum().backward()
            optimizer.step()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    steps(model, optimizer, 5)
    other = nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    resumed = torch.optim.AdamW(other.parameters())
    restore_optimizer(resumed, optimizer_tensors(optimizer))
    steps(model, optimizer, 5)
    steps(other, resumed, 5)
    assert torch.equal(model.weight, other.weight)
