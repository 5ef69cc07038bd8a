"""Connects to the Ray cluster at `RAY_ADDRESS`, or starts and stops an own one; never joins any other cluster."""

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from typing import Any

from restorekit.errors import RestorekitError

CHECK_S = 2.0  # between two checks of the cluster
SILENCE_S = 40.0  # without an answer of the head node; after 60 s Ray ends the process
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_open_rows = ExitStack()  # iterations over data sets of the connected cluster


@contextmanager
def ray_cluster(num_cpus: int | None = None) -> Iterator[None]:
    """Connects to `RAY_ADDRESS`, or starts a local cluster with `num_cpus` (default: all of the machine)."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # else a report takes up to two seconds
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default; else Ray warns each time
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    # A worker is the main work on its own cluster; by default Ray gives it a low priority (nice 15).
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS") or None
    # Workers' output stays in Ray's log files; a training reports through its state folder.
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address and address != "local":
            ray.init(address=address, **quiet)
        else:
            # It watches for nodes that a cloud takes back, in a process that takes seconds to start.
            os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
            ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises a bare Exception where its processes take too long to start
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if address is None:
            raise RestorekitError(
                f"Ray does not start on this machine ({reason}): it needs a free core and about 1 GB of memory at its "
                f"start; where other programs hold these, wait and run the same command again"
            ) from error
        raise RestorekitError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({reason}): start it, or unset RAY_ADDRESS"
        ) from error
    try:
        yield
    finally:
        _open_rows.close()
        ray.shutdown()


def rows_of(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a Ray Data set; its execution ends with the last row, or at the latest with `ray_cluster`.

    A traceback can keep an abandoned iteration alive. Ray ends the process without a message when such an iteration
    asks for more after the shutdown.
    """
    rows: Generator[dict[str, Any]] = iter(dataset.iter_rows())
    _open_rows.callback(rows.close)
    try:
        yield from rows
    finally:
        rows.close()


@contextmanager
def named_cluster() -> Iterator[bool]:
    """Connects to `RAY_ADDRESS` and yields True; yields False and starts nothing where `RAY_ADDRESS` is not set."""
    if not os.environ.get("RAY_ADDRESS"):
        yield False
        return
    with ray_cluster():
        yield True


def require_resources(num_workers: int, cpus_per_worker: float, gpus_per_worker: float) -> None:
    """Raises with the arithmetic where the cluster is too small; Ray itself would wait for ever."""
    nodes = _node_resources()
    for kind, each in (("CPU", cpus_per_worker), ("GPU", gpus_per_worker)):
        needed, found = num_workers * each, sum(node.get(kind, 0.0) for node in nodes)
        if needed > found:
            raise RestorekitError(
                f"{num_workers} workers x {each:g} {kind} = {needed:g} {kind}s, the cluster has {found:g}: "
                f"lower train.num_workers, or add nodes"
            )
    room = room_for(cpus_per_worker, gpus_per_worker)
    if room < num_workers:
        raise RestorekitError(
            f"{num_workers} workers x ({cpus_per_worker:g} CPU + {gpus_per_worker:g} GPU), each on one node, but the "
            f"nodes have room for {room}: lower train.num_workers or the resources of a worker, or add nodes"
        )


def run_watched(
    work: Callable[[], Any], num_workers: int, cpus_per_worker: float, gpus_per_worker: float, patience_s: float
) -> None:
    """Runs `work` to its end in a thread, and meanwhile watches the connected cluster.

    Raises when the head node is lost, or when the nodes have no room for `num_workers` for longer than `patience_s`.
    Ray itself would end the process without a message in the first case, and wait for ever in the second.
    """
    import ray

    head = ray.get_runtime_context().gcs_address
    done: Future[None] = Future()
    threading.Thread(target=_run, args=(work, done), daemon=True).start()
    last_answer = last_room = time.monotonic()
    while not wait([done], timeout=CHECK_S).done:
        now = time.monotonic()
        if not _is_reachable(head):
            if now - last_answer > SILENCE_S:
                raise RestorekitError(f"the head node at {head} is lost: start the cluster again")
            continue
        last_answer = now
        if room_for(cpus_per_worker, gpus_per_worker) >= num_workers:
            last_room = now
        elif now - last_room > patience_s:
            raise RestorekitError(
                f"nodes are lost: no room for {num_workers} workers for {patience_s:.0f} s; add nodes"
            )
    done.result()


def _run(work: Callable[[], Any], done: "Future[None]") -> None:
    try:
        work()
        done.set_result(None)
    except BaseException as error:  # raised again where the result is awaited
        done.set_exception(error)


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=CHECK_S):
            return True
    except OSError:
        return False


def _node_resources() -> list[dict[str, float]]:
    """The resources of each live node, in use or free."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room_for(cpus: float, gpus: float) -> int:
    """The number of workers that the nodes could hold if nothing else ran on them."""
    wanted = {kind: each for kind, each in (("CPU", cpus), ("GPU", gpus)) if each > 0}
    return sum(int(min(node.get(kind, 0.0) // each for kind, each in wanted.items())) for node in _node_resources())


def keep_freed_memory(kept_bytes: int, block_bytes: int) -> None:
    """Keeps freed memory in this worker's process, so that the next work does not page-fault it in again.

    By default glibc gives large blocks back to the system at once. After this call it keeps freed blocks below
    `block_bytes`, and up to `kept_bytes` at the end of the heap. With another C library nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(M_TRIM_THRESHOLD, kept_bytes)
    mallopt(M_MMAP_THRESHOLD, block_bytes)
