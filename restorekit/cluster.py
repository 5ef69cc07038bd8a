"""Ray is the cluster that `RAY_ADDRESS` names, or one of our own, started and stopped here; never a stranger's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from restorekit.errors import RestorekitError


@contextmanager
def ray_cluster(num_cpus: int | None = None) -> Iterator[None]:
    """Connects to `RAY_ADDRESS`, or starts a local cluster with `num_cpus` (default: what the machine has)."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # else a report costs up to two seconds
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's announced default, else it warns each time
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    # On its own cluster a worker is the work itself; Ray would give way (nice 15) to whatever else runs.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS") or None
    # What workers print stays in Ray's log files; a training tells of itself through its state folder.
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        if address is None:
            raise RestorekitError(f"Ray does not start on this machine: {reason}") from error
        raise RestorekitError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({reason}): start it, or unset RAY_ADDRESS"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def require_resources(num_workers: int, cpus_per_worker: float, gpus_per_worker: float) -> None:
    """Raises with the arithmetic where the cluster is too small, for Ray itself would wait for ever."""
    import ray

    have = ray.cluster_resources()
    for kind, each in (("CPU", cpus_per_worker), ("GPU", gpus_per_worker)):
        needed, found = num_workers * each, float(have.get(kind, 0.0))
        if needed > found:
            raise RestorekitError(
                f"{num_workers} workers x {each:g} {kind} = {needed:g} {kind}s, the cluster has {found:g}: "
                f"lower train.num_workers, or add nodes"
            )
