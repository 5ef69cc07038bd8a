"""What goes wrong around a training is told in a sentence, costs no state, and does not hang."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.cluster import ray_cluster
from restorekit.distributed.figures import CurveWriter, Outbox, send_unsent
from restorekit.distributed.ray_train import fit
from restorekit.errors import RestorekitError
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.state import StateStore
from restorekit.training.world import World

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def same_weights(first: Job, second: Job) -> bool:
    one, two = StateStore(first.state).load_latest(), StateStore(second.state).load_latest()
    assert one is not None
    assert two is not None
    return one.step == two.step and all(torch.equal(t, two.tensors[name]) for name, t in one.tensors.items())


def test_a_full_disk_is_told_and_the_state_before_it_kept(make_job, small_disk: Path) -> None:
    whole, job = make_job("whole"), replace(make_job(), state=small_disk / "state")
    train(whole, ALONE, lambda _: None)
    filler = small_disk / "filler"

    def fill_after_3(told: Report) -> None:
        if told.saved and told.step == 3:
            with filler.open("wb") as file:
                file.write(bytes(shutil.disk_usage(small_disk).free))

    with pytest.raises(RestorekitError, match=r"^the state of step 6 could not be written to .*No space.*: make room"):
        train(job, ALONE, fill_after_3)
    assert [path.name for path in job.state.iterdir() if path.is_dir()] == ["step-00000003"]
    filler.unlink()
    train(job, ALONE, lambda _: None)
    assert same_weights(whole, job)


def test_a_shard_that_is_damaged_meanwhile_is_named_and_the_state_kept(make_job, tmp_path: Path) -> None:
    whole, job = make_job("whole", steps=9), make_job(steps=9)
    train(whole, ALONE, lambda _: None)
    copied = tmp_path / "copied"
    shutil.copytree(job.shards, copied)
    victim = copied / "train" / "1.tar"
    sound = victim.read_bytes()
    job = replace(job, shards=copied)

    def damage_after_6(told: Report) -> None:  # where the first epoch ends
        if told.saved and told.step == 6:
            victim.write_bytes(sound[:600] + b"?" + sound[601:])

    with pytest.raises(RestorekitError, match=r"1\.tar (is not the one|cannot be decoded).*: run `dvc"):
        train(job, ALONE, damage_after_6)
    assert (StateStore(job.state).latest_step() or 0) >= 6
    victim.write_bytes(sound)
    train(job, ALONE, lambda _: None)
    assert same_weights(whole, job)


class Server:
    """What a tracking server knows, which answers or does not."""

    def __init__(self) -> None:
        self.answers = True
        self.known: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        if not self.answers:
            raise RestorekitError("MLflow could not log the metrics: it is gone")
        self.known.append((step, dict(values)))

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        if not self.answers:
            raise RestorekitError("MLflow could not log the picture: it is gone")


def figures(step: int) -> dict[str, float]:
    return {"loss": 1.0 / step, "lr": 0.1}


def test_figures_wait_for_a_server_that_is_gone(tmp_path: Path) -> None:
    server, events = Server(), list[str]()
    outbox = Outbox(tmp_path, lambda: server, events.append, again_s=0.0)
    for step in range(1, 10):
        server.answers = not 3 <= step < 7
        outbox.log_metrics(figures(step), step)
        outbox.log_picture("validation", np.zeros((2, 2, 3), np.uint8), step)
    assert server.known == [(step, figures(step)) for step in range(1, 10)]
    assert len(events) == 2
    assert "training goes on (MLflow could not log the metrics: it is gone)" in events[0]
    assert "answers again" in events[1]


def test_a_server_that_is_gone_is_not_asked_at_every_step(tmp_path: Path) -> None:
    server = Server()
    server.answers = False
    asked: list[int] = []

    def opened() -> Server:
        asked.append(1)
        raise RestorekitError("nobody answers")

    outbox = Outbox(tmp_path, opened, lambda _: None, again_s=3600.0)
    for step in range(1, 10):
        outbox.log_metrics(figures(step), step)
    assert len(asked) == 1
    assert not outbox.flush(now=True)
    assert len(asked) == 2


@pytest.mark.parametrize("by", ["restart", "driver"])
def test_what_a_killed_training_had_not_sent_is_sent_later(tmp_path: Path, by: str) -> None:
    server = Server()
    curves = CurveWriter(tmp_path / "curves.csv", 0)
    outbox = Outbox(tmp_path, lambda: server, lambda _: None, again_s=0.0)
    for step in range(1, 10):
        server.answers = step < 4
        curves.append(step, figures(step))
        outbox.log_metrics(figures(step), step)
        if step == 6:
            outbox.save(step)
    server.answers = True
    if by == "restart":  # from the state of step 6
        CurveWriter(tmp_path / "curves.csv", 6)
        again = Outbox(tmp_path, lambda: server, lambda _: None, again_s=0.0)
        again.log_metrics(figures(7), 7)
        assert server.known == [(step, figures(step)) for step in range(1, 8)]
    else:
        send_unsent(tmp_path, server)
        send_unsent(tmp_path, server)
        assert server.known == [(step, figures(step)) for step in range(1, 10)]


@pytest.mark.slow
def test_a_training_goes_on_without_its_mlflow_server_and_tells_it_later(
    make_job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real server is killed at step 3 and started again when the training is over."""
    from mlflow import MlflowClient

    from restorekit.tracking.runs import RunLogger
    from restorekit.tracking.store import ensure_store

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    server = start_mlflow(tmp_path, port)
    try:
        logger = RunLogger.start(ensure_store(tmp_path), "trial")
        job = make_job(steps=9)
        with ThreadPoolExecutor(1) as pool, ray_cluster(1):
            training = pool.submit(fit, job, partial(Pausing, logger.uri, logger.run_id, tmp_path))
            wait_for(tmp_path / "paused")
            stop(server)
            (tmp_path / "go").touch()
            training.result(timeout=300)
        assert StateStore(job.state).latest_step() == 9
        assert "training goes on" in (job.state / "events.log").read_text()
        server = start_mlflow(tmp_path, port)
        send_unsent(job.state, logger)
        history = MlflowClient(logger.uri).get_metric_history(logger.run_id, "loss")
        assert [metric.step for metric in history] == list(range(1, 10))
    finally:
        stop(server)


class Pausing:
    """An MLflow logger that waits at step 3 until it is told to go on."""

    def __init__(self, uri: str, run_id: str, folder: Path) -> None:
        from restorekit.tracking.runs import RunLogger

        self._logger, self._folder = RunLogger(uri, run_id), folder

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        if step == 3:
            (self._folder / "paused").touch()
            wait_for(self._folder / "go")
        self._logger.log_metrics(values, step)

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        self._logger.log_picture(name, image, step)


def start_mlflow(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A server that answers, with a store in `folder`."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen([*command, *store], cwd=folder, stdout=log, stderr=log, start_new_session=True)
    turn = threading.Event()
    for _ in range(2400):
        with socket.socket() as found:
            if found.connect_ex(("127.0.0.1", port)) == 0:
                return server
        turn.wait(0.05)
    raise AssertionError((folder / "server.log").read_text())


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Kills the server with its workers, which are in its session."""
    if server.poll() is None:
        os.killpg(server.pid, 9)
        server.wait()


def wait_for(path: Path) -> None:
    turn = threading.Event()
    for _ in range(6000):
        if path.exists():
            return
        turn.wait(0.05)
    raise AssertionError(f"{path} did not come")


DRIVER = """
import json, sys
from functools import partial
from pathlib import Path
from restorekit.cluster import ray_cluster
from restorekit.entry import run_entry
from restorekit.training.job import Job
from restorekit.distributed.ray_train import fit

class Staying:
    def __init__(self, folder):
        self.folder = folder
    def log_metrics(self, values, step):
        if step == 5:
            (self.folder / "reached").touch()
            import threading
            threading.Event().wait(600)
    def log_picture(self, name, image, step):
        return

def main():
    with ray_cluster():
        fit(Job.from_json(json.loads(Path(sys.argv[1]).read_text())), partial(Staying, Path(sys.argv[2])))

run_entry(main)
"""


@pytest.mark.slow
def test_a_lost_head_node_ends_the_training_with_a_message(make_job, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    job = make_job()
    (tmp_path / "job.json").write_text(json.dumps(job.to_json()))
    (tmp_path / "driver.py").write_text(DRIVER)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
    address = cluster.address
    try:
        driver = subprocess.Popen(
            [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "job.json"), str(tmp_path)],
            env={**os.environ, "RAY_ADDRESS": address},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(tmp_path / "reached")
        cluster.head_node.kill_gcs_server()
        _, told = driver.communicate(timeout=180)
    finally:
        cluster.shutdown()
    assert driver.returncode == 1
    assert f"the head node at {address} is lost: start the cluster again" in told
    assert "a state of step 3 is kept: run the same command to go on from it" in told
    assert StateStore(job.state).latest_step() == 3
