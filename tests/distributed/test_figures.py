"""Figures: each step once in the curves file, and all of them at a logger that was away for a while."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from restorekit.cluster import ray_cluster
from restorekit.distributed.figures import (
    Best,
    CurveTail,
    CurveWriter,
    Outbox,
    best_steps,
    read_curves,
    send_unsent,
    write_plots,
)
from restorekit.distributed.ray_train import fit
from restorekit.errors import RestorekitError
from restorekit.files import read_json
from restorekit.training.state import StateStore
from tests.distributed.conftest import wait_for
from tests.training.conftest import MakeJob


def test_curves_hold_each_step_once_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    first = CurveWriter(path, 0)
    for step in (1, 2, 3):
        first.append(step, {"loss": 1.0 / step})
    with path.open("a") as file:
        file.write("4,lo")  # a kill in the middle of a line
    CurveWriter(path, 2).append(3, {"loss": 9.0})
    assert read_curves(path) == [(1, "loss", 1.0), (2, "loss", 0.5), (3, "loss", 9.0)]


def test_a_follower_of_curves_reads_each_row_once(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    tail = CurveTail(path)
    assert tail.new_rows() == []
    curves = CurveWriter(path, 0)
    curves.append(1, {"loss": 1.0, "val/gain": 2.0})
    assert tail.new_rows() == [(1, "loss", 1.0), (1, "val/gain", 2.0)]
    assert tail.new_rows() == []
    with path.open("a") as file:
        file.write("2,lo")
    assert tail.new_rows() == []
    with path.open("a") as file:
        file.write("ss,0.5\r\n")
    assert tail.new_rows() == [(2, "loss", 0.5)]
    CurveWriter(path, 1).append(2, {"loss": 0.25})  # the training goes on from step 1
    assert tail.new_rows() == [(1, "loss", 1.0), (1, "val/gain", 2.0), (2, "loss", 0.25)]
    assert read_curves(path)[-1] == (2, "loss", 0.25)


def test_the_best_steps_are_those_of_the_highest_gains(tmp_path: Path) -> None:
    """The synthetic gain still rises where the mean of the real ones falls; the first of equal values counts."""
    curves = CurveWriter(tmp_path / "curves.csv", 0)
    for step, synthetic, one, other in ((1, 1.0, 2.0, 0.0), (2, 2.0, 3.0, 1.0), (3, 3.0, 4.0, 0.0), (4, 3.0, 1.0, 1.0)):
        metrics = {"val/psnr_rgb": 20.0, "val/gain": synthetic, "val/one/gain": one, "val/gain/gain": other}
        curves.append(step, metrics | {"val/one/psnr_rgb": 30.0})
    rows = read_curves(tmp_path / "curves.csv")
    found = best_steps(rows)
    assert found == [Best("synthetic images", 3, 3.0), Best("real pairs (one, gain)", 2, 2.0)]
    assert str(found[1]) == "real pairs (one, gain) +2.00 dB at step 2"
    assert best_steps(row for row in rows if row[1] == "val/gain") == found[:1]
    assert best_steps([]) == []
    write_plots(tmp_path / "curves.csv", tmp_path)
    head = (tmp_path / "validation.csv").read_text().splitlines()[0]
    assert head == "step,psnr_rgb,gain,one/gain,gain/gain,one/psnr_rgb"


class Server:
    """A tracking server with the figures that it received; it answers or not."""

    def __init__(self) -> None:
        self.answers = True
        self.received: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        if not self.answers:
            raise RestorekitError("MLflow could not log the metrics: it is gone")
        self.received.append((step, dict(values)))

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
        outbox.flush()
    assert server.received == [(step, figures(step)) for step in range(1, 10)]
    assert len(events) == 2
    assert "the training goes on (MLflow could not log the metrics: it is gone)" in events[0]
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
        outbox.flush()
    assert len(asked) == 1
    assert not outbox.flush(now=True)
    assert len(asked) == 2


def test_no_step_waits_for_a_server_that_is_slow(tmp_path: Path) -> None:
    """The server takes the first figures and answers when the training has made all of its steps."""
    answer, server = threading.Event(), Server()

    class Slow(Server):
        def log_metrics(self, values: Mapping[str, float], step: int) -> None:
            assert answer.wait(60)
            server.log_metrics(values, step)

        def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
            pictures.append(step)

    pictures: list[int] = []
    outbox = Outbox(tmp_path, Slow, lambda _: None)
    for step in range(1, 10):
        outbox.log_metrics(figures(step), step)
        outbox.log_picture("validation", np.zeros((2, 2, 3), np.uint8), step)
    outbox.save(9)
    assert read_json(tmp_path / "logged.json", "note", "") == {"step": 0}  # a kill here loses nothing
    assert server.received == []
    answer.set()
    assert outbox.flush()
    assert server.received == [(step, figures(step)) for step in range(1, 10)]
    assert pictures == [9]


@pytest.mark.parametrize("by", ["restart", "driver"])
def test_figures_that_a_killed_training_did_not_send_are_sent_later(tmp_path: Path, by: str) -> None:
    server = Server()
    curves = CurveWriter(tmp_path / "curves.csv", 0)
    outbox = Outbox(tmp_path, lambda: server, lambda _: None, again_s=0.0)
    for step in range(1, 10):
        server.answers = step < 4
        curves.append(step, figures(step))
        outbox.log_metrics(figures(step), step)
        outbox.flush()
        if step == 6:
            outbox.save(step)
    server.answers = True
    if by == "restart":  # from the state of step 6
        CurveWriter(tmp_path / "curves.csv", 6)
        again = Outbox(tmp_path, lambda: server, lambda _: None, again_s=0.0)
        again.log_metrics(figures(7), 7)
        assert again.flush()
        assert server.received == [(step, figures(step)) for step in range(1, 8)]
    else:
        send_unsent(tmp_path, server)
        send_unsent(tmp_path, server)
        assert server.received == [(step, figures(step)) for step in range(1, 10)]


@pytest.mark.slow
def test_a_training_goes_on_without_its_mlflow_server_and_sends_the_figures_later(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real server is killed at step 3 and started again after the training."""
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
    """An MLflow logger that waits at step 3 until the file `go` is there."""

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
    """A server that answers on `port`, with a store in `folder`."""
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
    """Kills the server and its workers, which are in its session."""
    if server.poll() is None:
        os.killpg(server.pid, 9)
        server.wait()
