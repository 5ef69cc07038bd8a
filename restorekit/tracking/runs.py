"""Logs a training's parameters, curves and pictures to its MLflow run, from any process with the address and id."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from restorekit.tracking.store import experiment_id, mlflow_errors, open_client

PARAMS_PER_CALL = 100  # MLflow's limits for one batch
METRICS_PER_CALL = 1000


class RunLogger:
    """A writer to one run, without process-wide state: rank 0 of a training makes its own from (uri, run_id)."""

    def __init__(self, uri: str, run_id: str) -> None:
        self.uri, self.run_id = uri, run_id
        self._client = open_client(uri)

    @classmethod
    def start(cls, uri: str, name: str, run_id: str | None = None, tags: Mapping[str, str] | None = None) -> Self:
        """A logger that continues `run_id`, or a new run called `name` where the store at `uri` has no such run.

        `ensure_store` must have made the store. Either run is then RUNNING and has `tags`.
        """
        with mlflow_errors(f"start the run '{name}' in {uri}"):
            client = open_client(uri)
            if run_id is None or not _is_active(client, run_id):
                run_id = str(client.create_run(experiment_id(client), run_name=name).info.run_id)
            else:
                client.update_run(run_id, status="RUNNING")
            for key, value in (tags or {}).items():
                client.set_tag(run_id, key, value)
        return cls(uri, run_id)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs nested parameters under dotted names.

        MLflow never replaces a parameter. A resumed run's new value (the number of workers, say) becomes the tag
        `resumed.<name>`.
        """
        with mlflow_errors(f"log the parameters of run {self.run_id}"):
            known = self._client.get_run(self.run_id).data.params
            flat = dict(flattened(params))
            new = [Param(name, value) for name, value in flat.items() if name not in known]
            changed = [
                RunTag(f"resumed.{name}", value) for name, value in flat.items() if known.get(name, value) != value
            ]
            for start in range(0, max(len(new), len(changed)), PARAMS_PER_CALL):
                part = slice(start, start + PARAMS_PER_CALL)
                self._client.log_batch(self.run_id, params=new[part])
                self._client.log_batch(self.run_id, tags=changed[part])

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Logs all values of one step in one call; fifty values take as long as one (17 ms)."""
        now_ms = int(time.time() * 1000)
        metrics = [Metric(metric_name(name), float(value), now_ms, step) for name, value in values.items()]
        with mlflow_errors(f"log the metrics of run {self.run_id}"):
            for start in range(0, len(metrics), METRICS_PER_CALL):
                self._client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_PER_CALL])

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        """Logs a uint8 (H, W, 3) image of a step; MLflow shows the images of one name as a series."""
        with mlflow_errors(f"log the picture '{name}' of run {self.run_id}"):
            self._client.log_image(self.run_id, image, key=metric_name(name), step=step)

    def log_files(self, folder: Path, place: str) -> None:
        """Copies the files of `folder` to `place` among the run's artifacts."""
        with mlflow_errors(f"copy {folder} to run {self.run_id}"):
            self._client.log_artifacts(self.run_id, str(folder), place)

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """Ends the run; a later `start` with its id continues it."""
        with mlflow_errors(f"end run {self.run_id}"):
            self._client.set_terminated(self.run_id, status)


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, text) of every value in nested mappings; a list is one value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def metric_name(name: str) -> str:
    """`name` with an underscore for each character that MLflow refuses (colons and the like)."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def has_run(uri: str, run_id: str) -> bool:
    """Whether the store has the run and nobody deleted it."""
    return _is_active(open_client(uri), run_id)


def _is_active(client: Any, run_id: str) -> bool:
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise
