"""The one module that knows Ray Train: it runs the loop on workers, restarts lost ones, and tells the tracker.

States are the loop's own and lie in the job's folder, which all workers reach; Ray keeps no checkpoints of it. A
worker or a node that dies costs the steps since the last state.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from restorekit.cluster import require_resources
from restorekit.errors import RestorekitError
from restorekit.files import write_beside
from restorekit.training.curves import CurveWriter
from restorekit.training.job import Job
from restorekit.training.learner import World
from restorekit.training.loop import Report, train
from restorekit.training.progress import note_event, progress_bar
from restorekit.training.state import StateStore

REFUSAL = "refused.txt"  # in the state folder: why trying again would not help


class Logger(Protocol):
    """What the first rank tells its figures and pictures to; see restorekit.tracking."""

    def log_metrics(self, values: Mapping[str, float], step: int) -> None: ...

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None: ...


def fit(job: Job, open_logger: Callable[[], Logger] | None = None) -> None:
    """Trains `job` on the connected Ray cluster to its last step; returns when it is there.

    `open_logger` is called in the first worker's process, which may be on another machine: it carries its addresses.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config = job.config
    cpus, gpus = worker_resources(job)
    require_resources(config.num_workers, cpus, gpus)
    # Without a limit of its own, a controller whose nodes never come back would try for ever.
    failures: dict[str, Any] = {"max_failures": config.max_failures, "controller_failure_limit": 3}
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job.to_json(), "open_logger": open_logger},
        scaling_config=ScalingConfig(
            num_workers=config.num_workers,
            use_gpu=config.use_gpu,
            resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=RunConfig(
            # A name of its own each time: Ray would otherwise look for checkpoints under it, and there are none.
            name=f"{job.run}-{uuid.uuid4().hex[:8]}",
            storage_path=str(job.state / "ray"),
            failure_config=FailureConfig(**failures),
        ),
    )
    refusal = job.state / REFUSAL
    refusal.unlink(missing_ok=True)
    with progress_bar(job):
        try:
            trainer.fit()
        except Exception as error:
            raise _explained(error, job) from error
    if refusal.exists():
        raise RestorekitError(refusal.read_text())


def worker_resources(job: Job) -> tuple[float, float]:
    """(CPUs, GPUs) that each worker asks Ray for."""
    config = job.config
    return float(max(config.threads_per_worker, config.loader_workers)), 1.0 if config.use_gpu else 0.0


def _work(config: dict[str, Any]) -> None:
    """One worker of Ray Train: finds its place in the world and runs the loop."""
    from ray import train as ray_train
    from ray.train.torch import get_device

    job = Job.from_json(config["job"])
    refusal = job.state / REFUSAL
    if refusal.exists():
        return  # what an earlier attempt of this fit found wrong is wrong still; the driver tells it
    torch.set_num_threads(job.config.threads_per_worker)
    cv2.setNumThreads(0)
    context = ray_train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), torch.device(get_device()))
    tell = Teller(job, config["open_logger"]) if world.is_first else None

    def report(told: Report) -> None:
        if tell is not None:
            tell(told)
        if told.saved:
            ray_train.report({"step": told.step})

    try:
        train(job, world, report)
    except RestorekitError as error:
        with write_beside(refusal) as beside:
            beside.write_text(str(error))
        if world.size > 1:
            raise  # the other workers wait for this one; they end with it


class Teller:
    """The first rank's reports, to the curves file and to the logger."""

    def __init__(self, job: Job, open_logger: Callable[[], Logger] | None) -> None:
        self._job = job
        self._logger = None if open_logger is None else open_logger()
        self._curves: CurveWriter | None = None

    def __call__(self, told: Report) -> None:
        if self._curves is None:
            # Only now is the state's folder locked by this process.
            self._curves = CurveWriter(self._job.state / "curves.csv", told.step if told.resumed else 0)
            began = "resumed" if told.resumed else "began"
            note_event(self._job, f"{began} {_where(told, self._job)}")
        if told.resumed:
            return
        self._curves.append(told.step, told.metrics)
        if self._logger is not None:
            self._logger.log_metrics(told.metrics, told.step)
            if told.picture is not None:
                self._logger.log_picture("validation", told.picture, told.step)


def _where(told: Report, job: Job) -> str:
    if not told.resumed:
        return f"with {job.config.steps} steps to go"
    epoch, into = told.metrics["epoch"], told.metrics["step_in_epoch"]
    return f"at step {told.step} of {job.config.steps}: {into:.0f} steps into epoch {epoch:.0f}"


def _explained(error: Exception, job: Job) -> RestorekitError:
    """A worker's own message where it had one, else what Ray says; in both cases how to go on."""
    refusal = job.state / REFUSAL
    if refusal.exists():
        return RestorekitError(refusal.read_text())
    last = StateStore(job.state).latest_step()
    kept = f"a state of step {last} is kept" if last is not None else "no state was saved yet"
    return RestorekitError(f"training '{job.run}' failed: {error}\n{kept}: run the same command to go on from it")
