"""Real pairs choose the best state, on every rank and after a kill alike; without them nothing changes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.training import validation
from restorekit.training.export import export_model
from restorekit.training.job import Job, job_digest
from restorekit.training.loop import Report
from restorekit.training.state import StateStore
from restorekit.training.validation import quality, shared_samples
from restorekit.training.world import World
from tests.conftest import pair
from tests.training.conftest import MakeJob, assert_equal, final, run, run_twice, tiny_job
from tests.training.ranks import do, learning

SETTINGS = {"width": 8, "steps": 12, "lr": 0.02, "validate_every": 2, "export": "best"}


def write_set(folder: Path, count: int = 3, darker: int = 0) -> Path:
    """Writes pairs without any streak: equal images, or darker by some levels. What takes streaks away harms them."""

    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        for number in range(count):
            _, clean = pair(100 + number, 40)
            degraded = np.clip(clean.astype(int) - darker, 0, 255).astype(np.uint8)
            record = json.dumps({"tile": [0, 0, 40, 40]}).encode()
            yield (
                f"real-{number}",
                {"degraded.png": encode_rgb(degraded, "png"), "clean.png": encode_rgb(clean, "png"), "json": record},
            )

    folder.mkdir(parents=True)
    shard = write_shard(folder / "0.tar", samples())
    ShardManifest(folder.name, "rain", "val", "made", (shard,)).save(folder)
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two real sets of the task: clean images, and dark ones."""
    folder = tmp_path_factory.mktemp("sets")
    return {"clean": write_set(folder / "clean"), "dark": write_set(folder / "dark", 2, darker=9)}


@pytest.fixture(scope="module")
def whole(
    sets: dict[str, Path], tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, list[Report]]:
    """A training that was not killed, whose best state both sets choose."""
    job = replace(tiny_job(tiny_shards, tmp_path_factory.mktemp("whole"), **SETTINGS), choosing=sets)
    return job, run(job)


def figures(reports: list[Report]) -> dict[str, dict[int, float]]:
    """The validation figures of a training by name and step."""
    found: dict[str, dict[int, float]] = {}
    for report in reports:
        for name, value in report.metrics.items():
            if name.startswith("val/"):
                found.setdefault(name, {})[report.step] = value
    return found


def best(values: dict[int, float]) -> int:
    return max(values, key=lambda step: (values[step], -step))


def test_real_pairs_choose_another_state_than_synthetic_images(
    make_job: MakeJob, sets: dict[str, Path], tmp_path: Path
) -> None:
    """Taking streaks away improves for all steps; clean images are harmed least where least was learnt."""
    job = replace(make_job(**SETTINGS), choosing={"clean": sets["clean"]})
    found = figures(run(job))
    assert {"val/psnr_rgb", "val/gain", "val/clean/psnr_rgb", "val/clean/gain"} <= found.keys()
    chosen = best(found["val/clean/gain"])
    assert chosen != best(found["val/psnr_rgb"])
    store = StateStore(job.state)
    kept = store.load_best()
    assert kept is not None
    assert (kept.step, kept.progress.best) == (chosen, found["val/clean/gain"][chosen])
    record = export_model(job, store, tmp_path / "model", {})
    assert (record["steps"], record["chosen_by"]) == (chosen, ["clean"])


def test_the_mean_over_sets_chooses(whole: tuple[Job, list[Report]]) -> None:
    job, reports = whole
    found = figures(reports)
    means = {step: (found["val/clean/gain"][step] + found["val/dark/gain"][step]) / 2 for step in found["val/gain"]}
    kept = StateStore(job.state).load_best()
    assert kept is not None
    assert kept.step == best(means)
    assert quality({"val/a/gain": 1.0, "val/b/gain": 2.0, "val/psnr_rgb": 30.0}, ["a", "b"]) == 1.5
    assert quality({"val/a/gain": 1.0, "val/psnr_rgb": 30.0}, []) == 30.0


def test_a_training_killed_between_validations_ends_with_the_same_states(
    make_job: MakeJob, sets: dict[str, Path], whole: tuple[Job, list[Report]]
) -> None:
    killed = replace(make_job(**SETTINGS), choosing=sets)
    run_twice(killed, 8)
    assert_equal(final(killed), final(whole[0]))
    states = [StateStore(job.state).load_best() for job in (whole[0], killed)]
    assert states[0] is not None
    assert states[1] is not None
    assert (states[1].step, states[1].progress) == (states[0].step, states[0].progress)
    assert_equal(states[1].tensors, states[0].tensors)


def test_real_pairs_change_no_weights(make_job: MakeJob, whole: tuple[Job, list[Report]]) -> None:
    without = make_job(**SETTINGS)
    run(without)
    assert_equal(final(whole[0]), final(without))


def test_two_workers_find_the_same_gains(make_job: MakeJob, sets: dict[str, Path], tmp_path: Path) -> None:
    """With all samples in each step, both trainings have the same batches."""
    settings = {"batch_size": 22, "steps": 1, "lr": 1e-4, "warmup_steps": 0}
    one, two = (replace(make_job(name, **settings), choosing=sets) for name in ("one", "two"))
    do(tmp_path, learning(one), learning(two, 2))
    gains = [state.progress.best for job in (one, two) if (state := StateStore(job.state).load_best())]
    assert len(gains) == 2
    assert gains[1] == pytest.approx(gains[0], abs=1e-2)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_ranks_share_the_pairs(sets: dict[str, Path], size: int) -> None:
    shared = [list(shared_samples(sets["clean"], World(rank, size, torch.device("cpu")))) for rank in range(size)]
    assert sorted(sample.key for part in shared for sample in part) == ["real-0", "real-1", "real-2"]
    assert max(map(len, shared)) == -(-3 // size)


def test_a_rank_opens_the_shards_of_its_part_alone(tmp_path: Path) -> None:
    shards = []
    for number in range(3):
        folder = write_set(tmp_path / str(number), 2)
        shards.append(folder / "0.tar")
    folder = tmp_path / "set"
    folder.mkdir()
    made = []
    for number, shard in enumerate(shards):
        for file in (shard, shard.with_suffix(".idx")):
            file.rename(folder / f"{number}{file.suffix}")
        made.append(replace(ShardManifest.load(shard.parent).shards[0], name=f"{number}.tar"))
    ShardManifest("set", "rain", "val", "made", tuple(made)).save(folder)
    for rank in range(3):
        others = [folder / f"{number}.tar" for number in range(3) if number != rank]
        for file in others:
            file.rename(file.with_suffix(".away"))
        assert len(list(shared_samples(folder, World(rank, 3, torch.device("cpu"))))) == 2
        for file in others:
            file.with_suffix(".away").rename(file)


def test_sets_count_for_a_digest_only_where_they_choose_the_exported_state(
    make_job: MakeJob, sets: dict[str, Path]
) -> None:
    for export, counts in (("last", False), ("best", True)):
        job = make_job(**{**SETTINGS, "export": export})
        digests = [job_digest(replace(job, choosing=one), ["data"]) for one in ({}, {"dark": sets["dark"]}, sets)]
        assert digests[0] == job_digest(job, ["data"])
        assert len(set(digests)) == (3 if counts else 1)
        assert job_digest(replace(job, choosing=dict(reversed(sets.items()))), ["data"]) == digests[2]


def test_a_job_takes_its_sets_to_other_machines(make_job: MakeJob, sets: dict[str, Path]) -> None:
    job = replace(make_job(), choosing=sets)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))).choosing == sets


def test_a_pair_that_does_not_fit_into_the_memory_is_refused_before_the_first_step(
    make_job: MakeJob, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "default_budget", lambda device: 40 * 39)
    job = replace(make_job(), choosing=sets)
    with pytest.raises(RestorekitError, match=r"real\.validate\.clean: to restore 'real-0' \(40 x 40\) whole takes"):
        run(job)
    assert StateStore(job.state).latest_step() is None
    run(make_job("without"))
