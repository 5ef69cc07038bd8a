"""Ray is the cluster that `RAY_ADDRESS` names, or one of our own, started and stopped here; never a stranger's."""

import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from typing import Any

from restorekit.errors import RestorekitError

LOOK_S = 2.0
SILENCE_S = 40.0  # of the head node; after 60 s Ray ends the process
_reading = ExitStack()  # what is still read from the connected cluster


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
        _reading.close()
        ray.shutdown()


def rows_of(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a Ray Data set; its execution ends with the last one, or else before `ray_cluster` is left.

    A traceback can hold an iteration that nobody goes on with, and Ray ends the process, without a word, where such a
    one asks it for something after it was shut down.
    """
    rows: Generator[dict[str, Any]] = iter(dataset.iter_rows())
    _reading.callback(rows.close)
    try:
        yield from rows
    finally:
        rows.close()


@contextmanager
def named_cluster() -> Iterator[bool]:
    """Connects to `RAY_ADDRESS` where it is set; whether it is. Without it, nothing is started."""
    if not os.environ.get("RAY_ADDRESS"):
        yield False
        return
    with ray_cluster():
        yield True


def require_resources(num_workers: int, cpus_per_worker: float, gpus_per_worker: float) -> None:
    """Raises with the arithmetic where the cluster is too small, for Ray itself would wait for ever."""
    have = _resources()
    for kind, each in (("CPU", cpus_per_worker), ("GPU", gpus_per_worker)):
        needed, found = num_workers * each, sum(node.get(kind, 0.0) for node in have)
        if needed > found:
            raise RestorekitError(
                f"{num_workers} workers x {each:g} {kind} = {needed:g} {kind}s, the cluster has {found:g}: "
                f"lower train.num_workers, or add nodes"
            )
    room = room_for(cpus_per_worker, gpus_per_worker)
    if room < num_workers:
        raise RestorekitError(
            f"{num_workers} workers x ({cpus_per_worker:g} CPU + {gpus_per_worker:g} GPU), each on one node, the nodes "
            f"have room for {room}: lower train.num_workers or what each takes, or add nodes"
        )


def watched(
    work: Callable[[], Any], num_workers: int, cpus_per_worker: float, gpus_per_worker: float, patience_s: float
) -> None:
    """Runs `work` on the connected cluster to its end, in a thread of its own.

    Raises where the head node is lost, or where the nodes have no room for `num_workers` for longer than `patience_s`;
    Ray itself would end the process without a word, or wait for ever.
    """
    import ray

    head = ray.get_runtime_context().gcs_address
    done: Future[None] = Future()
    threading.Thread(target=_run, args=(work, done), daemon=True).start()
    answered = had_room = time.monotonic()
    while not wait([done], timeout=LOOK_S).done:
        now = time.monotonic()
        if not _answers(head):
            if now - answered > SILENCE_S:
                raise RestorekitError(f"the head node at {head} is lost: start the cluster again")
            continue
        answered = now
        if room_for(cpus_per_worker, gpus_per_worker) >= num_workers:
            had_room = now
        elif now - had_room > patience_s:
            raise RestorekitError(
                f"nodes are lost, there has been no room for {num_workers} workers for {patience_s:.0f} s: add nodes"
            )
    done.result()


def _run(work: Callable[[], Any], done: "Future[None]") -> None:
    try:
        work()
        done.set_result(None)
    except BaseException as error:  # told to whoever waits
        done.set_exception(error)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=LOOK_S):
            return True
    except OSError:
        return False


def _resources() -> list[dict[str, float]]:
    """What each node that is there has, in use or not."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room_for(cpus: float, gpus: float) -> int:
    """How many workers the nodes could hold, were there nothing else on them."""
    wanted = {kind: each for kind, each in (("CPU", cpus), ("GPU", gpus)) if each > 0}
    return sum(int(min(node.get(kind, 0.0) // each for kind, each in wanted.items())) for node in _resources())
