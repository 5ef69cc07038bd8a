"""Runs the loop on workers of Ray Train and restarts lost workers; no other module uses Ray Train.

The loop keeps its own states in the job's folder, which all workers reach, or in the storage that the folder mirrors;
Ray keeps no checkpoints. A worker or node that dies costs the steps since the last state.
"""

import os
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import torch

from restorekit.cluster import keep_freed_memory, require_resources, run_watched
from restorekit.distributed.figures import Logger
from restorekit.distributed.lease import open_states
from restorekit.distributed.progress_bar import progress_bar
from restorekit.distributed.recorder import Recorder
from restorekit.distributed.trace import TraceWriter
from restorekit.errors import RestorekitError
from restorekit.files import FULL, write_atomically
from restorekit.storage import fetch_file, push_file, remote_of
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.world import World, agreed, tune

REFUSAL = "refused.txt"  # in the state's folder: the reason why another attempt would fail, too
START_S = 60.0  # Ray's wait for the nodes of a group of workers
NODE_RETRIES = 3  # about a minute each, while nodes are missing
KEPT_BYTES = 2**30  # of freed memory


def fit(job: Job, open_logger: Callable[[], Logger] | None = None) -> None:
    """Trains `job` on the connected Ray cluster; returns after its last step.

    `open_logger` is called in the first worker's process, perhaps on another machine, so it carries its addresses.
    Raises RestorekitError with the reason and the remedy.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config = job.config
    cpus, gpus = worker_resources(job)
    require_resources(config.fewest_workers, cpus, gpus)
    scaling: dict[str, Any] = {  # Any: Ray chooses between two versions of these classes at run time
        "num_workers": config.num_workers,
        "use_gpu": config.use_gpu,
        "resources_per_worker": {"CPU": cpus, **({"GPU": gpus} if gpus else {})},
        "elastic_resize_monitor_interval_s": config.resize_every_s,
    }
    failures: dict[str, Any] = {
        "max_failures": config.max_failures,
        "controller_failure_limit": NODE_RETRIES,
    }
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job.to_json(), "open_logger": open_logger},
        scaling_config=ScalingConfig(**scaling),
        run_config=RunConfig(
            # A new name each time: under a known name Ray looks for checkpoints, and there are none.
            name=f"{job.run}-{uuid.uuid4().hex[:8]}",
            failure_config=FailureConfig(**failures),
            **_ray_storage(job),
        ),
    )
    refusal = job.state / REFUSAL
    _clear_refusal(job)
    patience_s = START_S * (NODE_RETRIES + 2)
    with progress_bar(job):
        try:
            run_watched(trainer.fit, config.fewest_workers, cpus, gpus, patience_s)
        except Exception as error:
            raise _explained(error, job) from error
    if fetch_file(refusal).exists():
        raise RestorekitError(refusal.read_text())


def worker_resources(job: Job) -> tuple[float, float]:
    """The (CPUs, GPUs) that each worker asks Ray for."""
    config = job.config
    return float(max(config.threads_per_worker, config.loader_workers)), 1.0 if config.use_gpu else 0.0


def local_cpus(job: Job) -> int:
    """The CPUs of a local cluster: for all workers or, with a range of workers, for as many as this machine fits."""
    cpus, _ = worker_resources(job)
    config, here = job.config, len(os.sched_getaffinity(0))
    return int(cpus * max(config.fewest_workers, min(config.most_workers, here // cpus)))


def _ray_storage(job: Job) -> dict[str, Any]:
    """The place of Ray's own files of the run: the folder that all nodes share, or the storage."""
    remote = remote_of(job.state / "ray")
    if remote is None:
        return {"storage_path": str(job.state / "ray")}
    import pyarrow.fs

    filesystem, path = remote.filesystem()
    return {
        "storage_path": path,
        "storage_filesystem": pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem)),
    }


def _clear_refusal(job: Job) -> None:
    """Removes the refusal of an earlier fit."""
    refusal = job.state / REFUSAL
    refusal.unlink(missing_ok=True)
    remote = remote_of(refusal)
    if remote is not None:
        remote.remove()


def _refuse(job: Job, reason: str) -> None:
    """Records, for the driver and later attempts of this fit, the reason why another attempt would fail, too."""
    refusal = job.state / REFUSAL
    try:
        with write_atomically(refusal) as partial:
            partial.write_text(reason)
        push_file(refusal)
    except OSError as error:  # no room even for this file; Ray tries again in vain and then reports the error
        raise RestorekitError(reason) from error


def _work(config: dict[str, Any]) -> None:
    """A worker of Ray Train: takes its rank in the world and runs the loop."""
    import ray.train
    from ray.train.torch import get_device

    job = Job.from_json(config["job"])
    refusal = job.state / REFUSAL
    if fetch_file(refusal).exists():
        return  # an earlier attempt of this fit was refused; the driver reports the reason
    torch.set_num_threads(job.config.threads_per_worker)
    cv2.setNumThreads(0)
    # Otherwise a step of DAKD has 31000 to 38000 more page faults and takes 6 to 9 % more processor time.
    keep_freed_memory(KEPT_BYTES, KEPT_BYTES)
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), torch.device(get_device()))
    tune(world.device, job.config.tf32)
    precision = agreed(job.config.precision, world)
    job = replace(job, config=job.config.model_copy(update={"precision": precision}))
    recorder = Recorder(job, config["open_logger"]) if world.is_first else None
    trace = TraceWriter(job.state, world, ray.util.get_node_ip_address()) if job.config.trace else None

    def note(report: Report) -> None:
        if trace is not None:
            trace.note(report)
        if recorder is not None:
            recorder.note(report)
        if report.saving:
            ray.train.report({"step": report.step})

    try:
        train(job, world, note, open_states)
        if recorder is not None:
            recorder.end()
    except (RestorekitError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            raise
        reason = str(error) if isinstance(error, RestorekitError) else f"{error}: make room, run the same command again"
        _refuse(job, reason)
        if world.size > 1:
            raise RestorekitError(reason) from error  # the other workers wait for this worker; the error ends them, too


def _explained(error: Exception, job: Job) -> RestorekitError:
    """The worker's own message if there is one, else Ray's, and the remedy."""
    if fetch_file(job.state / REFUSAL).exists():
        return RestorekitError((job.state / REFUSAL).read_text())
    last = open_states(job.state).latest_step()
    kept = f"a state of step {last} is kept" if last is not None else "no state was saved yet"
    own = re.search(r"RestorekitError: (.*)\Z", str(error).strip(), re.DOTALL)
    reason = own.group(1) if own else str(error)
    return RestorekitError(f"training '{job.run}' failed: {reason}\n{kept}: run the same command to go on from it")
