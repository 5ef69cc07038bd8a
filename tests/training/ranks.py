"""A program for tests: trains with one or more ranks and kills them where a task says so, or computes one gradient.

It imports torch once and forks each rank. python ranks.py TASKS.json runs the list of tasks one after the other.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from safetensors.torch import save_file

from restorekit.shards.plan import batch_at, begin_epoch
from restorekit.training.batches import to_unit, train_batches
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.loop import train
from restorekit.training.world import World

IMAGES = ("degraded", "clean")


def main():
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for number, task in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        ranks = [fork(task, rank, Path(f"{sys.argv[1]}.{number}")) for rank in range(task["world"])]
        for rank in ranks:
            _, status = os.waitpid(rank, 0)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            if not killed and status:
                raise SystemExit(f"task {number} failed")


def fork(task, rank, meeting):
    process = os.fork()
    if process:
        return process
    try:
        world = World(rank, task["world"], torch.device("cpu"))
        if world.size > 1:
            torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world.size)
        job = Job.from_json(task["job"])
        (gradient if "gradient" in task else learn)(job, world, task)
        if world.size > 1:
            torch.distributed.destroy_process_group()
        os._exit(0)
    except BaseException as error:
        print(f"rank {rank}: {error!r}", file=sys.stderr)
        os._exit(1)


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


if __name__ == "__main__":
    main()
