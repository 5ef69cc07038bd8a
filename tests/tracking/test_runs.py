"""A run begins once and continues from any process that knows its address and id."""

from pathlib import Path

import numpy as np
import pytest

from restorekit.errors import RestorekitError
from restorekit.rng import rng_for
from restorekit.tracking.runs import RunLogger, flattened
from restorekit.tracking.store import open_client, tracking_uri


def test_a_run_is_continued(root: Path) -> None:
    uri = tracking_uri(root)
    first = RunLogger.start(uri, "dmgn-rain", tags={"state": "new"})
    first.log_metrics({"loss": 2.0, "loss/background": 1.0}, step=1)
    first.finish("KILLED")
    again = RunLogger.start(uri, "dmgn-rain", first.run_id, {"state": "resumed"})
    assert again.run_id == first.run_id
    worker = RunLogger(uri, again.run_id)
    worker.log_metrics({"loss": 1.5, "val/psnr_rgb": float("nan")}, step=2)
    run = open_client(uri).get_run(first.run_id)
    assert (run.info.status, run.info.run_name, run.data.tags["state"]) == ("RUNNING", "dmgn-rain", "resumed")
    history = open_client(uri).get_metric_history(first.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (2, 1.5)]
    worker.finish()
    assert open_client(uri).get_run(first.run_id).info.status == "FINISHED"


def test_a_missing_run_is_replaced_by_a_new_one(root: Path) -> None:
    uri = tracking_uri(root)
    logger = RunLogger.start(uri, "dmgn-haze", "f" * 32)
    assert logger.run_id != "f" * 32
    open_client(uri).delete_run(logger.run_id)
    assert RunLogger.start(uri, "dmgn-haze", logger.run_id).run_id != logger.run_id


def test_parameters_are_flat_and_a_resumed_runs_change_becomes_a_tag(root: Path) -> None:
    logger = RunLogger.start(tracking_uri(root), "params")
    logger.log_params({"seed": 1, "train": {"lr": 0.001, "flips": ["horizontal"]}, "workers": 1})
    logger.log_params({"seed": 1, "train": {"lr": 0.001}, "workers": 2, "added": True})
    data = open_client(tracking_uri(root)).get_run(logger.run_id).data
    assert data.params == {
        "seed": "1", "train.lr": "0.001", "train.flips": "['horizontal']", "workers": "1", "added": "True",
    }  # fmt: skip
    assert data.tags["resumed.workers"] == "2"
    assert "resumed.seed" not in data.tags


def test_more_values_than_fit_one_call(root: Path) -> None:
    logger = RunLogger.start(tracking_uri(root), "many")
    logger.log_params({f"p{number}": number for number in range(250)})
    logger.log_metrics({f"m{number}": number for number in range(1100)}, step=3)
    data = open_client(tracking_uri(root)).get_run(logger.run_id).data
    assert (len(data.params), len(data.metrics)) == (250, 1100)


def test_names_that_mlflow_refuses_are_changed(root: Path) -> None:
    logger = RunLogger.start(tracking_uri(root), "names")
    logger.log_metrics({"synthetic-test/psnr_rgb/kind:<light>/gain": 1.0}, step=0)
    data = open_client(tracking_uri(root)).get_run(logger.run_id).data
    assert data.metrics == {"synthetic-test/psnr_rgb/kind__light_/gain": 1.0}


def test_pictures_and_files_are_artifacts_of_the_run(root: Path, tmp_path: Path) -> None:
    logger = RunLogger.start(tracking_uri(root), "pictures")
    image = rng_for(0, "picture").integers(0, 256, (20, 30, 3), dtype=np.uint8)
    logger.log_picture("validation", image, step=4)
    (tmp_path / "a.txt").write_text("a")
    logger.log_files(tmp_path, "evaluation")
    client = open_client(tracking_uri(root))
    assert any(file.path.startswith("images/validation") for file in client.list_artifacts(logger.run_id, "images"))
    assert [file.path for file in client.list_artifacts(logger.run_id, "evaluation")] == ["evaluation/a.txt"]


def test_flattening() -> None:
    assert dict(flattened({"a": {"b": {"c": 1}}, "d": None})) == {"a.b.c": "1", "d": "None"}


def test_logging_to_a_missing_run_raises_a_clear_error(root: Path) -> None:
    with pytest.raises(RestorekitError, match="MLflow could not log the metrics"):
        RunLogger(tracking_uri(root), "0" * 32).log_metrics({"loss": 1.0}, 0)
