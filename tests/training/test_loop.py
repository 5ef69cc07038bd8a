"""The loop: a killed training ends with the weights of one that was never killed; nothing is learnt from rubbish."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from restorekit.errors import RestorekitError
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.state import StateStore, export_model
from restorekit.training.world import World

ALONE = World(0, 1, torch.device("cpu"))


class KilledError(Exception):
    pass


def run(job: Job, kill_after: int | None = None) -> list[Report]:
    """Trains; `kill_after` ends it as a kill would, when that step's figures are told."""
    reports = []

    def report(told: Report) -> None:
        reports.append(told)
        if told.step == kill_after and "loss" in told.metrics:
            raise KilledError

    train(job, ALONE, report)
    return reports


def final(job: Job) -> dict[str, Tensor]:
    state = StateStore(job.state).load_latest()
    assert state is not None
    assert state.step == job.config.steps
    return state.tensors


# 22 samples at 4 a step are 6 steps an epoch: 3 lies inside it, 6 at its end.
@pytest.mark.parametrize("kill_after, resumes_at", [(1, None), (4, 3), (6, 3), (7, 6), (8, 6)])
@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"optimizer": "muon"}], ids=["fp32", "bf16", "muon"])
def test_a_killed_training_ends_with_the_same_weights(
    make_job, kill_after: int, resumes_at: int | None, changes
) -> None:
    whole, killed = make_job("whole", **changes), make_job("killed", **changes)
    told = run(whole)
    with pytest.raises(KilledError):
        run(killed, kill_after)
    again = run(killed)
    assert [report.step for report in again if report.resumed] == ([] if resumes_at is None else [resumes_at])
    expected, found = final(whole), final(killed)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    losses = {report.step: report.metrics["loss"] for report in told if "loss" in report.metrics}
    for report in again:
        if "loss" in report.metrics:
            assert report.metrics["loss"] == losses[report.step]


@pytest.mark.parametrize("loader_workers", [1, 2])
def test_loader_workers_read_what_the_plan_says(make_job, loader_workers: int) -> None:
    whole = make_job("whole", loader_workers=loader_workers)
    killed = make_job("killed", loader_workers=loader_workers)
    run(whole)
    with pytest.raises(KilledError):
        run(killed, 5)
    run(killed)
    expected, found = final(whole), final(killed)
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_a_training_learns(make_job) -> None:
    reports = run(make_job(width=8, steps=40, lr=0.003))
    losses = [report.metrics["loss"] for report in reports if "loss" in report.metrics]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(make_job) -> None:
    whole, parts = make_job("whole", steps=3, lr=1e-5), make_job("parts", steps=3, lr=1e-5, accumulate=3)
    for one, other in zip(run(whole), run(parts), strict=True):
        for name in ("loss", "grad_norm", "loss/background"):
            if name in one.metrics:
                assert other.metrics[name] == pytest.approx(one.metrics[name], rel=1e-4), (one.step, name)


def test_the_memory_layout_changes_no_result(make_job) -> None:
    plain, turned = make_job("plain", steps=3, lr=1e-5), make_job("turned", steps=3, lr=1e-5, channels_last=True)
    losses = [[told.metrics["loss"] for told in run(job) if "loss" in told.metrics] for job in (plain, turned)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_the_best_state_is_kept_and_is_what_export_best_exports(make_job, tmp_path: Path) -> None:
    job = make_job(width=8, steps=12, lr=0.02, validate_every=2, export="best")
    psnr = {told.step: told.metrics["val/psnr_rgb"] for told in run(job) if "val/psnr_rgb" in told.metrics}
    best = max(psnr, key=lambda step: (psnr[step], -step))
    kept = StateStore(job.state).load_best()
    assert kept is not None
    assert (kept.step, kept.progress.best) == (best, psnr[best])
    assert export_model(job, StateStore(job.state), tmp_path / "model", {})["steps"] == best
    assert len(list(job.state.glob("best-*"))) == 1


def test_a_finished_training_does_nothing(make_job) -> None:
    job = make_job()
    run(job)
    before = final(job)
    assert [report.step for report in run(job)] == [8]
    after = final(job)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_adversarial_terms_resume_to_the_same_weights(make_job) -> None:
    objective = {"adversarial": 1.0}
    whole, killed = make_job("whole", objective, crop=32), make_job("killed", objective, crop=32)
    run(whole)
    with pytest.raises(KilledError):
        run(killed, 5)
    run(killed)
    expected, found = final(whole), final(killed)
    assert any(name.startswith("critic_optimizer.") for name in expected)
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_a_gradient_that_is_not_finite_names_the_step_and_the_samples(make_job) -> None:
    job = make_job(lr=1e30)
    with pytest.raises(RestorekitError, match=r"step \d+, samples \d{4}, .*not finite.*lower train\.lr"):
        run(job)


def test_a_damaged_state_is_left_out_for_the_one_before(make_job, capsys) -> None:
    job = make_job()
    with pytest.raises(KilledError):
        run(job, 7)
    newest = job.state / "step-00000006" / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    assert [report.step for report in run(job) if report.resumed] == [3]
    assert "damaged" in capsys.readouterr().err


def test_a_state_is_not_shared(make_job) -> None:
    job = make_job()
    second = StateStore(job.state, lock_wait_s=0.1)
    with StateStore(job.state).locked(), pytest.raises(RestorekitError, match="in use"), second.locked():
        pass


def test_an_altered_shard_stops_the_training_by_name(make_job, tmp_path: Path) -> None:
    import shutil

    job = make_job()
    copied = tmp_path / "copied"
    shutil.copytree(job.shards, copied)
    victim = copied / "train" / "1.tar"
    victim.write_bytes(victim.read_bytes()[::-1])
    broken = Job(job.run, job.task, job.seed, job.spec, job.config, copied, job.state)
    with pytest.raises(RestorekitError, match=r"1\.tar"):
        run(broken)
