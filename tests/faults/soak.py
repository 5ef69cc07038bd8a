"""A training of 2,000 steps that is broken off a thousand times ends with the bits of one that was not.

`make soak`, or `python -m tests.faults.soak STEPS BREAKS SEED`. The training is broken off after random steps:
in this process, so that a thousand breaks take minutes and not hours; every tenth break is a SIGKILL of a process of
its own at a random moment, perhaps inside the writing of a state.
"""

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import torch

from restorekit.config import DmgnRun, TrainConfig
from restorekit.rng import rng_for
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.state import StateStore
from restorekit.training.world import World
from tests.conftest import write_tiny_shards

ALONE = World(0, 1, torch.device("cpu"))
KILLED = 10  # every such break is a SIGKILL
FORK = multiprocessing.get_context("fork")


class BrokenOff(Exception):  # noqa: N818
    """The end of a training that is broken off."""


def job_in(folder: Path, name: str, shards: Path, steps: int) -> Job:
    run = DmgnRun.model_validate(
        {
            "model": "dmgn", "dataset": "rain", "objective": {"pixel": "huber"},
            "options": {"variant": "rain", "width": 2, "trunk": "none", "init": "he", "zero_last": True},
        }
    )  # fmt: skip
    config = TrainConfig(
        steps=steps, batch_size=2, crop=17, lr=0.002, precision="fp32", threads_per_worker=1,
        checkpoint_every=2, log_every=50, validate_every=500, grad_clip=5.0,
    )  # fmt: skip
    return Job("dmgn-rain", "rain", 5, run, config, shards, folder / name)


def go_on(job: Job, stop: int | None) -> bool:
    """Takes a training on, at most to the report of step `stop`; whether it came to its end."""

    def note(report: Report) -> None:
        if stop is not None and report.step >= stop and not report.resumed:
            raise BrokenOff

    try:
        train(job, ALONE, note)
    except BrokenOff:
        return False
    return True


def soak(folder: Path, steps: int, breaks: int, seed: int) -> dict[str, float]:
    """The figures of a soak; raises AssertionError where a bit differs."""
    shards = write_tiny_shards(folder / "shards")
    whole, broken = (job_in(folder, name, shards, steps) for name in ("whole", "broken"))
    began = time.monotonic()
    go_on(whole, None)
    whole_s, began = time.monotonic() - began, time.monotonic()
    rng, store, done, kills, lost = rng_for(seed, "soak"), StateStore(broken.state), 0, 0, 0
    stops = sorted(int(stop) for stop in rng.integers(1, steps, size=breaks))
    for number, stop in enumerate(stops):
        at = store.latest_step() or 0
        if number % KILLED == KILLED - 1:
            process = FORK.Process(target=go_on, args=(broken, None))
            process.start()
            process.join(float(rng.uniform(0.05, 0.6)))
            process.kill()
            process.join()
            kills += 1
        else:
            go_on(broken, max(stop, at + 1))
        done += 1
        lost += (store.latest_step() or 0) == at
    assert go_on(broken, None)
    one, other = (StateStore(job.state).load_latest() for job in (whole, broken))
    assert one is not None
    assert other is not None
    assert one.tensors.keys() == other.tensors.keys()
    unequal = [name for name, tensor in one.tensors.items() if not torch.equal(tensor, other.tensors[name])]
    assert unequal == [], f"{len(unequal)} tensors differ, such as {unequal[0]}"
    assert (one.step, one.cursor, one.progress) == (other.step, other.cursor, other.progress)
    return {
        "steps": steps, "breaks": done, "of them SIGKILL": kills, "without a new state": lost,
        "tensors equal": len(one.tensors), "whole_s": round(whole_s, 1), "broken_s": round(time.monotonic() - began, 1),
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    steps, breaks, seed = (int(value) for value in sys.argv[1:4])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(soak(Path(folder), steps, breaks, seed)))
