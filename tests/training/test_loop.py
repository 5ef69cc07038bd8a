"""The loop: a killed training ends with the weights of one that was never killed; bad values and files are refused."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from restorekit.errors import RestorekitError
from restorekit.models.dmgn import DMGN
from restorekit.training.export import export_model
from restorekit.training.learner import Learner
from restorekit.training.state import StateStore
from tests.training.conftest import ALONE, KilledError, MakeJob, Undisturbed, assert_equal, final, run, run_twice


# An epoch has 6 steps: step 3 is inside it, step 6 at its end.
@pytest.mark.parametrize("kill_after, resumes_at", [(1, None), (4, 3), (6, 3), (7, 6), (8, 6)])
@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"optimizer": "muon"}], ids=["fp32", "bf16", "muon"])
def test_a_killed_training_ends_with_the_same_weights(
    make_job: MakeJob, undisturbed: Undisturbed, kill_after: int, resumes_at: int | None, changes: dict[str, str]
) -> None:
    killed = make_job("killed", **changes)
    whole, reports = undisturbed(**changes)
    again = run_twice(killed, kill_after)
    assert [report.step for report in again if report.resumed] == ([] if resumes_at is None else [resumes_at])
    assert_equal(final(killed), final(whole))
    losses = {report.step: report.metrics["loss"] for report in reports if "loss" in report.metrics}
    for report in again:
        if "loss" in report.metrics:
            assert report.metrics["loss"] == losses[report.step]


@pytest.mark.parametrize("loader_workers", [1, 2])
def test_loader_workers_read_the_same_batches_after_a_kill(make_job: MakeJob, loader_workers: int) -> None:
    whole = make_job("whole", loader_workers=loader_workers)
    killed = make_job("killed", loader_workers=loader_workers)
    run(whole)
    run_twice(killed, 5)
    assert_equal(final(killed), final(whole))


def test_a_training_learns(make_job: MakeJob) -> None:
    reports = run(make_job(width=8, steps=40, lr=0.003))
    losses = [report.metrics["loss"] for report in reports if "loss" in report.metrics]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(make_job: MakeJob) -> None:
    whole, parts = make_job("whole", steps=3, lr=1e-5), make_job("parts", steps=3, lr=1e-5, accumulate=3)
    for one, other in zip(run(whole), run(parts), strict=True):
        for name in ("loss", "grad_norm", "loss/background"):
            if name in one.metrics:
                assert other.metrics[name] == pytest.approx(one.metrics[name], rel=1e-4), (one.step, name)


def test_the_memory_layout_changes_no_result(make_job: MakeJob) -> None:
    plain, turned = make_job("plain", steps=3, lr=1e-5), make_job("turned", steps=3, lr=1e-5, channels_last=True)
    losses = [[report.metrics["loss"] for report in run(job) if "loss" in report.metrics] for job in (plain, turned)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_the_best_state_is_kept_and_is_what_export_best_exports(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(width=8, steps=12, lr=0.02, validate_every=2, export="best")
    psnr = {report.step: report.metrics["val/psnr_rgb"] for report in run(job) if "val/psnr_rgb" in report.metrics}
    best = max(psnr, key=lambda step: (psnr[step], -step))
    kept = StateStore(job.state).load_best()
    assert kept is not None
    assert (kept.step, kept.progress.best) == (best, psnr[best])
    assert export_model(job, StateStore(job.state), tmp_path / "model", {})["steps"] == best
    assert len(list(job.state.glob("best-*"))) == 1


def test_a_finished_training_does_nothing(make_job: MakeJob) -> None:
    job = make_job()
    run(job)
    before = final(job)
    assert [report.step for report in run(job)] == [8]
    assert_equal(final(job), before)


def test_adversarial_terms_resume_to_the_same_weights(make_job: MakeJob) -> None:
    objective = {"adversarial": 1.0}
    whole, killed = make_job("whole", objective, crop=32), make_job("killed", objective, crop=32)
    run(whole)
    run_twice(killed, 5)
    assert any(name.startswith("critic_optimizer.") for name in final(whole))
    assert_equal(final(killed), final(whole))


def test_a_gradient_that_is_not_finite_names_the_step_and_the_samples(make_job: MakeJob) -> None:
    job = make_job(lr=1e30)
    with pytest.raises(RestorekitError, match=r"step \d+, samples \d{4}, .*not finite.*lower train\.lr"):
        run(job)


def test_a_gradient_that_is_not_finite_is_named_a_step_later_and_spoils_no_state(make_job: MakeJob) -> None:
    """One training looks at every step's figures, the other at none before the state of step 8."""
    messages = []
    for log_every in (1, 8):
        job = make_job(f"every-{log_every}", lr=1e30, log_every=log_every, checkpoint_every=1 if log_every == 1 else 8)
        with pytest.raises(RestorekitError, match=r"step \d+, samples") as caught:
            run(job)
        messages.append(str(caught.value))
        state = StateStore(job.state).load_latest()
        kept = {} if state is None else state.tensors
        assert all(tensor.isfinite().all() for tensor in kept.values())
    assert messages[0] == messages[1]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_update_whose_gradient_is_not_finite_changes_no_weight(make_job: MakeJob, optimizer: str) -> None:
    learner = Learner(make_job(optimizer=optimizer), ALONE)
    batch = {name: torch.rand(2, 3, 24, 24) for name in ("degraded", "clean")}
    learner.update(batch, 1.0, 0.01)
    assert bool(learner.finite)
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    learner.update({**batch, "clean": batch["clean"] * math.nan}, 1.0, 0.01)
    assert not bool(learner.finite)
    assert_equal(learner.tensors(), before)


def test_a_damaged_state_is_skipped_for_the_one_before(make_job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job()
    with pytest.raises(KilledError):
        run(job, 7)
    newest = job.state / "step-00000006" / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    assert [report.step for report in run(job) if report.resumed] == [3]
    assert "damaged" in capsys.readouterr().err


def test_a_state_is_not_shared(make_job: MakeJob) -> None:
    job = make_job()
    second = StateStore(job.state, lock_wait_s=0.1)
    with StateStore(job.state).locked(), pytest.raises(RestorekitError, match="in use"), second.locked():
        pass


def test_an_altered_shard_stops_the_training_by_name(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    copied = tmp_path / "copied"
    shutil.copytree(job.shards, copied)
    victim = copied / "train" / "1.tar"
    victim.write_bytes(victim.read_bytes()[::-1])
    with pytest.raises(RestorekitError, match=r"1\.tar"):
        run(replace(job, shards=copied))


@pytest.mark.parametrize(
    "training, message",
    [
        (True, r"step 0: the machine's memory does not hold 4 samples of 24 pixels in 1 parts \(.*Raise train\.acc"),
        (False, r"step 8: the machine's memory does not hold a validation image whole \(.*Lower short_side"),
    ],
)
def test_an_out_of_memory_says_what_to_set(make_job: MakeJob, training: bool, message: str) -> None:
    def hunger(module: nn.Module, args: object) -> None:
        if isinstance(module, DMGN) and module.training == training:
            torch.empty(2**50)

    hungry = nn.modules.module.register_module_forward_pre_hook(hunger)
    try:
        with pytest.raises(RestorekitError, match=message):
            run(make_job())
    finally:
        hungry.remove()
