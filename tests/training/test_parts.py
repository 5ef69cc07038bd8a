"""The parts of training: schedule, averages, curves, state, augmentation, the job's digest."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from restorekit.config import TrainConfig
from restorekit.distributed.figures import CurveWriter, read_curves
from restorekit.errors import RestorekitError
from restorekit.objectives import Phase
from restorekit.shards.augmentation import PairAugmentation
from restorekit.shards.plan import begin_epoch
from restorekit.training.job import OPERATIONAL, Job, job_digest, with_weight_files
from restorekit.training.optimizer import Ema, learning_rate
from restorekit.training.phases import Progress, phase_steps
from restorekit.training.state import StateStore, TrainingState, optimizer_tensors, restore_optimizer


def config(**changes) -> TrainConfig:
    return TrainConfig.model_validate({"steps": 100, "batch_size": 4, "crop": 32, "lr": 0.2} | changes)


def test_cosine_falls_from_the_rate_to_nothing_after_the_warm_up() -> None:
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


def test_a_phase_ends_with_its_steps_or_with_a_standstill_of_what_it_watches() -> None:
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


def test_curves_hold_each_step_once_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    first = CurveWriter(path, 0)
    for step in (1, 2, 3):
        first.append(step, {"loss": 1.0 / step})
    with path.open("a") as file:
        file.write("4,lo")  # a kill in the middle of a line
    CurveWriter(path, 2).append(3, {"loss": 9.0})
    assert read_curves(path) == [(1, "loss", 1.0), (2, "loss", 0.5), (3, "loss", 9.0)]


def test_a_state_comes_back_to_the_bit_and_two_are_kept(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    cursor = begin_epoch(2, 50, 2, 1, 8)
    tensors = {"model.w": torch.randn(3, 4), "optimizer.0.step": torch.tensor(7.0), "n": torch.arange(3)}
    for step in (10, 20, 30):
        store.save(TrainingState(step, cursor, tensors, Progress(), "fp32"))
    state = store.load_latest()
    assert state is not None
    assert (state.step, state.cursor) == (30, cursor)
    assert state.tensors.keys() == tensors.keys()
    assert all(torch.equal(state.tensors[name], tensor) for name, tensor in tensors.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000030"]


def test_nothing_saved_is_no_state(tmp_path: Path) -> None:
    assert StateStore(tmp_path).load_latest() is None
    assert StateStore(tmp_path / "none").latest_step() is None


def test_an_optimiser_goes_on_as_if_it_had_not_stopped() -> None:
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


def test_a_pair_is_cropped_and_flipped_alike_and_by_name() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    augment = PairAugmentation(24, ("horizontal", "vertical", "transpose"), ("degraded", "clean", "mask"))
    seen = set()
    for key in map(str, range(40)):
        images = {"degraded": image, "clean": 255 - image, "mask": image[:, :, 0]}
        cut = augment(images, 1, 0, key)
        assert cut["degraded"].shape == (24, 24, 3)
        np.testing.assert_array_equal(cut["clean"], 255 - cut["degraded"])
        np.testing.assert_array_equal(cut["mask"], cut["degraded"][:, :, 0])
        np.testing.assert_array_equal(augment(images, 1, 0, key)["clean"], cut["clean"])
        seen.add(cut["degraded"].tobytes())
    assert len(seen) > 35
    assert not np.array_equal(augment(images, 1, 1, "0")["clean"], augment(images, 1, 0, "0")["clean"])


def test_the_digest_follows_what_the_weights_depend_on(make_job) -> None:
    def digest(job: Job, shards: str = "a") -> str:
        return job_digest(job, [shards])

    base = digest(make_job())
    assert digest(make_job(state="elsewhere")) == base
    assert digest(make_job(checkpoint_every=5, loader_workers=2, num_workers=2, validate_every=3)) == base
    assert {"checkpoint_every", "loader_workers", "num_workers"} < set(OPERATIONAL)
    assert len({base, digest(make_job(lr=0.5)), digest(make_job(width=4)), digest(make_job(), shards="b")}) == 4


def test_an_option_that_is_given_as_its_default_changes_no_digest(make_job) -> None:
    base = make_job()
    default = TrainConfig.model_fields["weight_decay"].default
    assert job_digest(make_job(weight_decay=default), []) == job_digest(base, [])
    assert job_digest(make_job(weight_decay=default + 0.1), []) != job_digest(base, [])


def test_a_file_of_weights_counts_by_its_bytes_and_is_found_from_the_root(make_job, tmp_path: Path) -> None:
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


def test_a_job_travels_as_json(make_job) -> None:
    import json

    job = make_job(flips=["horizontal", "vertical"])
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


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
