"""Nodes that are lost and nodes that join: the training goes on, with every sample of an epoch once."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restorekit.cluster import ray_cluster
from restorekit.distributed.figures import read_curves
from restorekit.distributed.ray_train import fit
from restorekit.distributed.trace import read_trace, samples_of_epochs
from restorekit.errors import RestorekitError
from restorekit.training.job import Job
from tests.training.conftest import NUM_SAMPLES, MakeJob

FAST = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
PATIENCE_S = 200.0


@dataclass
class Nodes:
    """A head without CPUs and a node of one CPU, and more nodes on demand; all have the address of this machine."""

    cluster: Any

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)

    def remove(self, node: Any) -> None:
        """Removes a node; returns when the head knows that it is gone."""
        import ray

        self.cluster.remove_node(node, allow_graceful=False)
        turn = threading.Event()
        while any(one["Alive"] and one["NodeID"] == node.node_id for one in ray.nodes()):
            turn.wait(0.05)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        head = {"num_cpus": 0, "object_store_memory": 80 * 2**20, "_system_config": FAST}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        made = Nodes(cluster)
        made.add()
        patch.setenv("RAY_ADDRESS", cluster.address)
        with ray_cluster():
            yield made
        cluster.shutdown()


class Steered:
    """A logger that acts in the first worker's process the first time that it receives certain steps."""

    def __init__(self, folder: Path, at: dict[int, str]) -> None:
        self._folder, self._at = folder, at

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        mark = self._folder / f"mark-{step}"
        if step not in self._at or mark.exists():
            return
        mark.touch()
        if self._at[step] == "kill":
            os.kill(int((self._folder / "raylet").read_text()), signal.SIGKILL)
        threading.Event().wait(PATIENCE_S)  # until Ray ends this process

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        return


def reached(folder: Path, step: int, training: "Future[None]") -> None:
    """Returns when the training has come to a marked step; raises the error of a training that ended before it."""
    turn = threading.Event()
    for _ in range(int(PATIENCE_S / 0.05)):
        if (folder / f"mark-{step}").exists():
            return
        if training.done():
            training.result()
            break
        turn.wait(0.05)
    raise AssertionError(f"the training did not reach step {step}")


def note_raylet(folder: Path, node: Any) -> None:
    (folder / "raylet").write_text(str(node.all_processes["raylet"][0].process.pid))


def every_sample_once(job: Job, epochs: int) -> bool:
    seen = samples_of_epochs(read_trace(job.state))
    return all(len(seen[epoch]) == NUM_SAMPLES and set(seen[epoch].values()) == {1} for epoch in range(epochs))


def test_a_node_dies_and_another_takes_its_place(make_job: MakeJob, nodes: Nodes, tmp_path: Path) -> None:
    job = make_job(num_workers=2, trace=True, steps=14, validate_every=14)
    lost = nodes.add()
    note_raylet(tmp_path, lost)
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(fit, job, partial(Steered, tmp_path, {5: "kill"}))
        reached(tmp_path, 5, training)
        nodes.remove(lost)
        joined = nodes.add()
        training.result(timeout=PATIENCE_S)
    nodes.remove(joined)
    steps = read_trace(job.state)
    assert {(one.start, one.ranks) for one in steps} == {(0, 2), (3, 2)}
    assert {one.step for one in steps if not one.counts} >= {4}
    assert every_sample_once(job, epochs=2)
    losses = [step for step, name, _ in read_curves(job.state / "curves.csv") if name == "loss"]
    assert losses == list(range(1, 15))


@pytest.mark.slow
def test_a_range_of_workers_grows_and_shrinks_with_the_cluster(make_job: MakeJob, nodes: Nodes, tmp_path: Path) -> None:
    job = make_job(num_workers=(1, 2), trace=True, steps=19, validate_every=19, resize_every_s=1.0)
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(fit, job, partial(Steered, tmp_path, {5: "wait", 10: "kill"}))
        reached(tmp_path, 5, training)
        second = nodes.add()
        note_raylet(tmp_path, second)
        reached(tmp_path, 10, training)
        nodes.remove(second)
        training.result(timeout=PATIENCE_S)
    assert {(one.start, one.ranks) for one in read_trace(job.state)} == {(0, 1), (3, 2), (9, 1)}
    assert every_sample_once(job, epochs=3)


def test_a_training_without_room_is_refused_with_the_arithmetic(make_job: MakeJob, nodes: Nodes) -> None:
    with pytest.raises(RestorekitError, match=r"2 workers x 1 CPU = 2 CPUs, the cluster has 1"):
        fit(make_job(num_workers=(2, 4)))
    second = nodes.add()
    with pytest.raises(RestorekitError, match=r"1 workers x \(2 CPU \+ 0 GPU\).*the nodes have room for 0"):
        fit(make_job(threads_per_worker=2))
    nodes.remove(second)


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"num_workers": (2, 1)}, "the fewest come first"),
        ({"num_workers": (1, 5)}, "batch_size 4 is less than a sample for each of 5 workers"),
        ({"num_workers": (1, 4), "accumulate": 2}, "accumulate 2 is more than the 1 samples"),
    ],
)
def test_an_impossible_range_is_refused(make_job: MakeJob, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make_job(**changes)
