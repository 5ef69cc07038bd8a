"""A training that is killed with SIGKILL, at any moment, ends with the weights of one that was not."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from restorekit.rng import rng_for
from restorekit.shards.plan import Cursor, begin_epoch, continue_with
from restorekit.training.batches import train_batches
from restorekit.training.state import StateStore
from tests.training.conftest import NUM_SAMPLES, MakeJob, assert_equal, final
from tests.training.ranks import do, learning, losses

# States of steps 3, 6 and 8 are written while the training goes on; "saving" comes just before. The epoch ends at
# step 6, the training at step 8.
KILLS = ([0, "begin"], [5, "loss"], [6, "saving"], [7, "loss"], [8, "saving"])


def test_one_worker_killed_at_any_boundary_ends_with_the_same_weights(make_job: MakeJob, tmp_path: Path) -> None:
    whole, *killed = (make_job(name) for name in ("whole", *(f"killed-{n}" for n in range(len(KILLS)))))
    pairs = list(zip(killed, KILLS, strict=True))
    do(
        tmp_path,
        learning(whole),
        *(learning(job, kill=kill) for job, kill in pairs),
        *(learning(job) for job in killed),
    )
    for job, _ in pairs:
        assert_equal(final(job), final(whole))
        assert losses(job) == losses(whole)


def test_two_workers_killed_together_go_on_with_the_same_losses_or_as_one(make_job: MakeJob, tmp_path: Path) -> None:
    whole, killed, alone = (
        make_job("whole"),
        make_job("killed"),
        make_job("alone", batch_per_worker=2, num_workers=[1, 2]),
    )
    do(
        tmp_path,
        learning(whole, 2),
        *(learning(job, 2, kill=[5, "loss"]) for job in (killed, alone)),
        learning(killed, 2),
        learning(alone, 1),
    )
    assert losses(killed) == pytest.approx(losses(whole), rel=1e-5)
    assert_equal(final(killed), final(whole))  # more than is promised
    assert losses(alone) == pytest.approx(losses(whole), rel=1e-3)  # the same batches, in another order of sums
    state, other = (StateStore(job.state).load_latest() for job in (alone, whole))
    assert state is not None
    assert other is not None
    assert (state.step, state.cursor.epoch, state.cursor) == (8, 1, other.cursor)


def read_by(
    shards: Path, cursor: Cursor, ranks: int, loaders: int, steps: int
) -> list[tuple[list[str], list[torch.Tensor]]]:
    """(keys, images) of each step's whole batch, of all ranks."""
    places = [(rank, ranks) for rank in range(ranks)]
    parts = [islice(train_batches({shards: 1.0}, cursor, place, loaders, 5, 24, ()), steps) for place in places]
    whole = []
    for step in zip(*parts, strict=True):
        counting = [one for one in step if one.weight]
        images = [image for one in counting for image in one.images["degraded"]]
        whole.append(([key for one in counting for key in one.keys], images))
    return whole


@pytest.mark.parametrize("batch", [6, 19])
@pytest.mark.parametrize("before, after", [((1, 0), (2, 0)), ((3, 0), (2, 1)), ((2, 2), (5, 0))])
def test_worlds_that_follow_each_other_read_the_batches_of_one_worker(
    tiny_shards: Path, before: tuple[int, int], after: tuple[int, int], batch: int
) -> None:
    shards, first = tiny_shards / "train", begin_epoch(0, NUM_SAMPLES, batch)
    alone = read_by(shards, first, 1, 0, 2 * first.num_steps)  # two epochs
    stopped = continue_with(replace(first, step=1), NUM_SAMPLES, batch)
    found = read_by(shards, first, *before, 1) + read_by(shards, stopped, *after, 2 * first.num_steps - 1)
    for (keys, images), (expected, pixels) in zip(found, alone, strict=True):
        assert keys == expected
        assert torch.equal(torch.stack(images), torch.stack(pixels))
    for epoch in (found[: first.num_steps], found[first.num_steps :]):
        assert Counter(key for keys, _ in epoch for key in keys) == Counter(f"{n:04d}" for n in range(NUM_SAMPLES))


def test_loader_workers_stay_through_the_epochs(tiny_shards: Path) -> None:
    """Two workers take turns: after an epoch of five steps the second one reads the first step of the next epoch."""
    cursor = begin_epoch(0, NUM_SAMPLES, batch_size=5)
    batches = list(islice(train_batches({tiny_shards / "train": 1.0}, cursor, (0, 1), 2, 5, 24, ()), 15))
    assert [(batch.cursor.epoch, batch.cursor.step) for batch in batches] == [
        (e, s) for e in range(3) for s in range(1, 6)
    ]
    for epoch in range(3):
        assert len({key for batch in batches[5 * epoch : 5 * epoch + 5] for key in batch.keys}) == NUM_SAMPLES


@pytest.mark.parametrize("settings", [{"batch_size": NUM_SAMPLES}, {"batch_per_worker": 3, "num_workers": [1, 4]}])
def test_the_gradient_of_several_workers_is_that_of_one(
    make_job: MakeJob, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """In float64, for a network without batch statistics; four workers take 6, 6, 5 and 5 of 22 samples, or 3 of 12.

    With 3 samples a worker, one worker takes the 12 samples in four passes, and two take 6 each in two.
    """
    job = make_job("gradient", grad_clip=1e9, crop=40, **settings)
    files = {world: str(tmp_path / f"{world}.safetensors") for world in (1, 2, 3, 4)}
    whole = replace(job, config=job.config.in_world(job.config.most_workers).model_copy(update={"num_workers": 1}))
    files[0] = str(tmp_path / "whole.safetensors")  # in one pass
    do(
        tmp_path,
        *({"job": job.to_json(), "world": world, "gradient": file} for world, file in files.items() if world),
        {"job": whole.to_json(), "world": 1, "gradient": files[0]},
    )
    one = load_file(files.pop(0))
    for several in map(load_file, files.values()):
        assert one.keys() == several.keys()
        for name, expected in one.items():
            difference = torch.linalg.vector_norm(several[name] - expected)
            assert difference <= 1e-6 * torch.linalg.vector_norm(expected), name


@pytest.mark.slow
def test_one_worker_killed_at_ten_random_moments_ends_with_the_same_weights(make_job: MakeJob, tmp_path: Path) -> None:
    # A state is saved after every step, so that some kills interrupt the writing of one.
    settings = {"steps": 40, "checkpoint_every": 1, "validate_every": 20}
    whole = make_job("whole", **settings)
    do(tmp_path, learning(whole))
    for number in range(10):
        job, rng = make_job(f"killed-{number}", **settings), rng_for(4, number)
        steps = sorted(int(step) for step in rng.integers(1, 40, size=2))
        kills = ({"kill": [step, "loss"], "delay": float(rng.uniform(0, 0.1))} for step in steps)
        do(tmp_path, *(learning(job, **kill) for kill in kills), learning(job))
        assert_equal(final(job), final(whole))
