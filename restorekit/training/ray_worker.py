"""The one module that knows Ray Train: it runs the loop on workers, restarts lost ones, and tells the tracker.

States are the loop's own and lie in the job's folder, which all workers reach, or in the storage that it mirrors; Ray
keeps no checkpoints of it. A worker or a node that dies costs the steps since the last state.
"""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch

from restorekit.cluster import require_resources, watched
from restorekit.config import TrainConfig
from restorekit.errors import RestorekitError
from restorekit.files import write_beside
from restorekit.storage import fetch_file, push_file, remote_of
from restorekit.training.compiled import compile_warning
from restorekit.training.curves import CurveWriter
from restorekit.training.heap import keep_freed_memory
from restorekit.training.job import Job
from restorekit.training.learner import World
from restorekit.training.loop import Report, train
from restorekit.training.outbox import Logger, Outbox
from restorekit.training.precision import agreed, precision_warning
from restorekit.training.progress import EVENTS, note_event, progress_bar
from restorekit.training.state import StateStore
from restorekit.training.trace import TraceWriter

CURVES = "curves.csv"
REFUSAL = "refused.txt"  # in the state folder: why trying again would not help
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
START_S = 60.0  # that Ray waits for the nodes of a group of workers


def fit(job: Job, open_logger: Callable[[], Logger] | None = None) -> None:
    """Trains `job` on the connected Ray cluster to its last step; returns when it is there.

    `open_logger` is called in the first worker's process, which may be on another machine: it carries its addresses.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config = job.config
    cpus, gpus = worker_resources(job)
    require_resources(config.fewest_workers, cpus, gpus)
    scaling: dict[str, Any] = {  # Ray chooses at run time which of its two versions of these classes it takes
        "num_workers": config.num_workers,
        "use_gpu": config.use_gpu,
        "resources_per_worker": {"CPU": cpus, **({"GPU": gpus} if gpus else {})},
        "elastic_resize_monitor_interval_s": config.resize_every_s,
    }
    failures: dict[str, Any] = {
        "max_failures": config.max_failures,
        "controller_failure_limit": config.controller_failure_limit,
    }
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job.to_json(), "open_logger": open_logger},
        scaling_config=ScalingConfig(**scaling),
        run_config=RunConfig(
            # A name of its own each time: Ray would otherwise look for checkpoints under it, and there are none.
            name=f"{job.run}-{uuid.uuid4().hex[:8]}",
            failure_config=FailureConfig(**failures),
            **_ray_storage(job),
        ),
    )
    refusal = job.state / REFUSAL
    _forget(job)
    patience_s = START_S * (config.controller_failure_limit + 2)
    with progress_bar(job):
        try:
            watched(trainer.fit, config.fewest_workers, cpus, gpus, patience_s)
        except Exception as error:
            raise _explained(error, job) from error
    if fetch_file(refusal).exists():
        raise RestorekitError(refusal.read_text())


def worker_resources(job: Job) -> tuple[float, float]:
    """(CPUs, GPUs) that each worker asks Ray for."""
    config = job.config
    return float(max(config.threads_per_worker, config.loader_workers)), 1.0 if config.use_gpu else 0.0


def local_cpus(job: Job) -> int:
    """The CPUs of a cluster of this machine's own: for all workers, or of a range as many as there are CPUs."""
    cpus, _ = worker_resources(job)
    config, here = job.config, len(os.sched_getaffinity(0))
    return int(cpus * max(config.fewest_workers, min(config.most_workers, here // cpus)))


def _ray_storage(job: Job) -> dict[str, Any]:
    """Where Ray keeps its own notes of the run: the folder that all nodes share, or the storage."""
    remote = remote_of(job.state / "ray")
    if remote is None:
        return {"storage_path": str(job.state / "ray")}
    import pyarrow.fs

    filesystem, path = remote.filesystem()
    return {
        "storage_path": path,
        "storage_filesystem": pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem)),
    }


def _forget(job: Job) -> None:
    """Removes what an earlier fit was refused for."""
    refusal = job.state / REFUSAL
    refusal.unlink(missing_ok=True)
    remote = remote_of(refusal)
    if remote is not None:
        remote.remove()


def _refuse(job: Job, reason: str) -> None:
    """Leaves word for the driver, and for other attempts, that trying again would not help."""
    refusal = job.state / REFUSAL
    try:
        with write_beside(refusal) as beside:
            beside.write_text(reason)
        push_file(refusal)
    except OSError as error:  # not even for this is there room; Ray tries again in vain, then tells it
        raise RestorekitError(reason) from error


def _work(config: dict[str, Any]) -> None:
    """One worker of Ray Train: finds its place in the world and runs the loop."""
    from ray import train as ray_train
    from ray.train.torch import get_device

    job = Job.from_json(config["job"])
    refusal = job.state / REFUSAL
    if fetch_file(refusal).exists():
        return  # what an earlier attempt of this fit found wrong is wrong still; the driver tells it
    torch.set_num_threads(job.config.threads_per_worker)
    cv2.setNumThreads(0)
    keep_freed_memory()
    context = ray_train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), torch.device(get_device()))
    precision = agreed(job.config.precision, world.device, world.size)
    job = replace(job, config=job.config.model_copy(update={"precision": precision}))
    tell = Teller(job, config["open_logger"]) if world.is_first else None
    trace = Tracer(job, world) if job.config.trace else None

    def report(told: Report) -> None:
        if trace is not None:
            trace(told)
        if tell is not None:
            tell(told)
        if told.saved:
            ray_train.report({"step": told.step})

    try:
        train(job, world, report)
        if tell is not None:
            tell.end()
    except (RestorekitError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            raise
        told = str(error) if isinstance(error, RestorekitError) else f"{error}: make room, run the same command again"
        _refuse(job, told)
        if world.size > 1:
            raise RestorekitError(told) from error  # the other workers wait for this one; they end with it


class Teller:
    """The first rank's reports, to the curves file and to the logger."""

    def __init__(self, job: Job, open_logger: Callable[[], Logger] | None) -> None:
        self._job, self._open_logger = job, open_logger
        self._outbox: Outbox | None = None
        self._curves: CurveWriter | None = None

    def __call__(self, told: Report) -> None:
        job = self._job
        if self._curves is None:
            # Only now is the state's folder locked by this process.
            for name in (CURVES, EVENTS):
                fetch_file(job.state / name)
            if told.resumed and told.first_phase is not None:
                _copy(told.first_phase / CURVES, job.state / CURVES)
            self._curves = CurveWriter(job.state / CURVES, told.step if told.resumed else 0)
            if self._open_logger is not None:
                self._outbox = Outbox(job.state, self._open_logger, lambda text: note_event(job, text))
            device = torch.device("cuda" if job.config.use_gpu else "cpu")
            note_event(job, f"{'resumed' if told.resumed else 'began'} {_where(told, job)}, in {job.config.precision}")
            for warning in _warnings(job.config, device):
                note_event(job, warning)
        if told.resumed:
            return
        self._curves.append(told.step, told.metrics)
        if self._outbox is not None and told.metrics:
            self._outbox.log_metrics(told.metrics, told.step)
            if told.picture is not None:
                self._outbox.log_picture("validation", told.picture, told.step)
        if told.first_phase is not None:
            _copy(job.state / CURVES, told.first_phase / CURVES)
        if told.saved:
            self._keep(told.step)

    def end(self) -> None:
        """Tries once more to tell the logger what it does not know."""
        if self._outbox is not None and not self._outbox.flush(now=True):
            note_event(self._job, "warning: the tracking server did not answer until the end")
        if self._curves is not None:
            self._keep(self._job.config.steps)

    def _keep(self, step: int) -> None:
        if self._outbox is not None:
            self._outbox.save(step)
        for name in (CURVES, EVENTS):
            push_file(self._job.state / name)


class Tracer:
    """One rank's reports, to its file of the trace."""

    def __init__(self, job: Job, world: World) -> None:
        self._job, self._world = job, world
        self._writer: TraceWriter | None = None

    def __call__(self, told: Report) -> None:
        import ray

        if self._writer is None:
            start = told.step if told.resumed else 0
            node = ray.util.get_node_ip_address()
            self._writer = TraceWriter(self._job.state, start, self._world.rank, self._world.size, node)
        if told.batch is not None:
            read = told.batch.keys if told.batch.weight else ()
            self._writer.note(told.step, told.batch.cursor.epoch, read)
        if told.saved:
            push_file(self._writer.path)


def _warnings(config: TrainConfig, device: torch.device) -> list[str]:
    """What the settings ask for and this machine has not."""
    compiling = compile_warning(device.type) if config.compile else None
    return [warning for warning in (compiling, precision_warning(config.precision, device)) if warning]


def _copy(curves: Path, to: Path) -> None:
    """Copies the figures of a first phase, where there are any, unless they are there already."""
    if fetch_file(curves).exists() and not fetch_file(to).exists():
        with write_beside(to) as beside:
            shutil.copyfile(curves, beside)
        push_file(to)


def _where(told: Report, job: Job) -> str:
    if not told.resumed:
        return f"with {job.config.steps} steps to go"
    if told.first_phase is not None:
        return f"at step {told.step} of {job.config.steps}, with the first phase of {told.first_phase}"
    epoch, into = told.metrics["epoch"], told.metrics["step_in_epoch"]
    return f"at step {told.step} of {job.config.steps}: {into:.0f} steps into epoch {epoch:.0f}"


def _explained(error: Exception, job: Job) -> RestorekitError:
    """A worker's own message where it had one, else what Ray says; in both cases how to go on."""
    if fetch_file(job.state / REFUSAL).exists():
        return RestorekitError((job.state / REFUSAL).read_text())
    last = StateStore(job.state).latest_step()
    kept = f"a state of step {last} is kept" if last is not None else "no state was saved yet"
    told = re.search(r"RestorekitError: (.*)\Z", str(error).strip(), re.DOTALL)
    reason = told.group(1) if told else str(error)
    return RestorekitError(f"training '{job.run}' failed: {reason}\n{kept}: run the same command to go on from it")
