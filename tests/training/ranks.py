"""Ranks of trainings in processes of their own, which are killed where a task says so; or one gradient.

They are forked from a server that has imported torch, once a session: imports take longer than a tiny training.
"""

import json
import os
import signal
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from multiprocessing import get_context, set_start_method
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import save_file

from restorekit.distributed.worker import work
from restorekit.shards.plan import batch_at, begin_epoch
from restorekit.training.batches import to_unit, train_batches
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.loop import train
from restorekit.training.world import World

IMAGES = ("degraded", "clean")
FORKED = get_context("forkserver")
FORKED.set_forkserver_preload(["pytest", "restorekit.distributed.worker", "torch._dynamo"])


SPAWNED = get_context("spawn")  # for torch.compile, whose own processes do not work in a fork of such a server


def do(folder: Path, *tasks: dict[str, Any], start: Any = FORKED) -> None:
    """Runs tasks one after the other, each with its ranks at once.

    A task has a job and the number of ranks, `world`. With `gradient` they compute one, with `carried` they train as
    the workers of a fit do, with curves and events; else they train and may be killed.
    """
    for task in tasks:
        meeting = folder / f"meeting-{uuid.uuid4().hex}"
        ended = at_once(folder, take_part, ((task, rank, meeting) for rank in range(task["world"])), start)
        assert set(ended) <= {0, -signal.SIGKILL}, task


def learning(job: Job, world: int = 1, **task: Any) -> dict[str, Any]:
    return {"job": job.to_json(), "world": world, "losses": str(job.state) + ".losses", **task}


def carrying(job: Job, world: int = 1) -> dict[str, Any]:
    """A training with curves and events, as the workers of a fit leave them."""
    return {"job": job.to_json(), "world": world, "carried": True}


def losses(job: Job) -> dict[int, float]:
    """The last reported loss of each step."""
    lines = Path(str(job.state) + ".losses").read_text().splitlines()
    return dict(map(json.loads, lines))


def at_once(
    folder: Path, function: Callable[..., None], calls: Iterable[tuple[Any, ...]], start: Any = FORKED
) -> list[int]:
    """Calls `function` with each of the arguments, all at once, in processes of their own; their exit statuses.

    They have this process's environment, and are started as `start` says. An error of theirs is raised here.
    """
    errors = folder / f"errors-{uuid.uuid4().hex}"
    processes = [start.Process(target=called, args=(errors, dict(os.environ), function, call)) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if errors.exists():
        raise AssertionError(errors.read_text())
    return [int(process.exitcode or 0) for process in processes]


def called(errors: Path, environment: dict[str, str], function: Callable[..., None], call: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    set_start_method("fork", force=True)  # of further processes; the server has set its own
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        function(*call)
    except BaseException:
        with errors.open("a") as file:
            file.write(traceback.format_exc())


def take_part(task, rank, meeting):
    """One rank of a task; the ranks find each other by the file `meeting`."""
    world = World(rank, task["world"], torch.device("cpu"))
    if world.size > 1:
        torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world.size)
    job = Job.from_json(task["job"])
    if "carried" in task:
        work(job, world, None, "localhost")
    else:
        (gradient if "gradient" in task else learn)(job, world, task)
    if world.size > 1:
        torch.distributed.destroy_process_group()


def learn(job, world, task):
    """Trains until `kill`, the report at which all ranks end: [step, "loss"], [step, "saving"] or [0, "begin"].

    With `delay` they end that many seconds after the report, in the middle of anything.
    """

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def note(report):
        kind = "saving" if report.saving else "loss" if "loss" in report.metrics else "other"
        if world.is_first and kind == "loss":
            with Path(task["losses"]).open("a") as file:
                file.write(json.dumps([report.step, report.metrics["loss"]]) + "\n")
        if [report.step, kind] == task.get("kill"):
            threading.Timer(task["delay"], die).start() if "delay" in task else die()

    if task.get("kill") == [0, "begin"]:
        die()
    train(job, world, note)


def gradient(job, world, task):
    """Writes the gradient of the first batch in float64, as the learner leaves it, and the batch norms' statistics.

    With `made` the batch has that many samples of noise with one hole, in place of samples of the shards.
    """
    torch.set_default_dtype(torch.float64)
    to_float = torch.Tensor.float  # of bf16 and the like; in this process float64 stays, in objectives, too
    torch.Tensor.float = lambda tensor: tensor if tensor.dtype == torch.float64 else to_float(tensor)
    config = job.config.in_world(world.size)
    learner = Learner(replace(job, config=config), world)
    if "made" in task:
        images, weight = made(task["made"], config.crop, world)
    else:
        cursor = begin_epoch(0, 22, config.global_batch)
        batch = next(train_batches(job.train_shards, cursor, world.place, 0, job.seed, config.crop, config.flips))
        images = {name: to_unit(image, world.device).double() for name, image in batch.images.items()}
        weight = batch.weight
    learner.update(images, weight, 0.0)
    if world.is_first:
        grads = {name: p.grad for name, p in learner.model.named_parameters() if p.grad is not None}
        save_file(grads | dict(learner.model.named_buffers()), task["gradient"])


def made(count, side, world):
    """This rank's part of a batch of noise, and its weight."""
    part = batch_at(begin_epoch(0, count, count), *world.place, 0)
    whole = {name: torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) for name in IMAGES}
    whole["mask"] = torch.zeros(count, 1, side, side)
    whole["mask"][..., side // 4 : side // 2, side // 4 : side // 2] = 1.0
    return {name: images[list(part.positions)] for name, images in whole.items()}, part.weight
