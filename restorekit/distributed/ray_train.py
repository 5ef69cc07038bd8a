"""Runs the loop on workers of Ray Train and restarts lost workers; no other module uses Ray Train.

The loop keeps its own states in the job's folder, which all workers reach, or in the storage that the folder mirrors;
Ray keeps no checkpoints. A worker or node that dies costs the steps since the last state.
"""

import os
import uuid
from collections.abc import Callable
from typing import Any

import torch

from restorekit.cluster import require_resources, run_watched
from restorekit.distributed.figures import Logger
from restorekit.distributed.progress_bar import progress_bar
from restorekit.distributed.worker import clear_refusal, explained, raise_refusal, work
from restorekit.storage import remote_of
from restorekit.training.job import Job
from restorekit.training.world import World

START_S = 60.0  # Ray's wait for the nodes of a group of workers
NODE_RETRIES = 3  # about a minute each, while nodes are missing


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
    clear_refusal(job)
    patience_s = START_S * (NODE_RETRIES + 2)
    with progress_bar(job):
        try:
            run_watched(trainer.fit, config.fewest_workers, cpus, gpus, patience_s)
        except Exception as error:
            raise explained(str(error), job) from error
    raise_refusal(job)


def fits_here(job: Job) -> bool:
    """Whether the driver's own process can train the job: one worker without a GPU, and no cluster is named.

    An error of a GPU stays until its process ends, so that a GPU's worker is a process of its own.
    """
    return job.config.num_workers == 1 and not job.config.use_gpu and not os.environ.get("RAY_ADDRESS")


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


def _work(config: dict[str, Any]) -> None:
    """A worker of Ray Train: takes its rank in the world and runs the loop."""
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), torch.device(get_device()))
    node = ray.util.get_node_ip_address()
    job = Job.from_json(config["job"])
    work(job, world, config["open_logger"], node, lambda step: ray.train.report({"step": step}))
