"""One MLflow store for every process: `MLFLOW_TRACKING_URI` where it is set, else a SQLite file in the working root."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

# Before MLflow is imported: nothing is sent to its makers, and no bars are drawn for copies of small files.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A server that is gone is told of within seconds; MLflow would try for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from restorekit.errors import RestorekitError
from restorekit.storage import address_of

EXPERIMENT = "restorekit"
FILE = "mlflow.db"  # what `mlflow ui` opens when it is started in the folder without an option
ARTIFACTS = "mlruns"
_SQLITE = "sqlite:///"

for _name in ("mlflow.store.db.utils", "alembic.runtime.migration"):  # they tell of every table they create
    logging.getLogger(_name).setLevel(logging.WARNING)


def tracking_uri(root: Path) -> str:
    """The store's address: from the environment, or the absolute ``sqlite:///<root>/mlflow.db``.

    Resolve it once, in the driver, and hand it to other processes: a worker has another current folder. A relative
    SQLite address in the environment is taken from `root`.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri and "://" in address_of(root.resolve()):
        raise RestorekitError(
            f"{address_of(root.resolve())} cannot hold the runs: set MLFLOW_TRACKING_URI to a server's address"
        )
    if not uri:
        return f"{_SQLITE}{root.resolve() / FILE}"
    if uri.startswith(_SQLITE):
        return f"{_SQLITE}{root.resolve() / uri.removeprefix(_SQLITE)}"
    return uri


def has_store(root: Path) -> bool:
    """Whether there is a store to ask; a server named in the environment is taken to be there."""
    file = _sqlite_file(tracking_uri(root))
    return file is None or file.is_file()


def ensure_store(root: Path) -> str:
    """Creates the store and its experiment where they are missing, and returns the address.

    Safe in several processes at once: the tables of a fresh SQLite file are created by one, under a lock.
    """
    uri = tracking_uri(root)
    file = _sqlite_file(uri)
    if file is None:
        _ensure_experiment(uri, None)
        return uri
    file.parent.mkdir(parents=True, exist_ok=True)
    locks = root.resolve() / "data" / "state"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "mlflow.lock"):
        _ensure_experiment(uri, (file.parent / ARTIFACTS).as_uri())
    return uri


def open_client(uri: str) -> MlflowClient:
    """A client of the store at `uri`, for runs and registry alike; it changes no setting of the process."""
    with mlflow_errors(f"open the store {uri}"):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: MlflowClient) -> str:
    """The id of the project's one experiment, which `ensure_store` has created."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise RestorekitError(
            f"the MLflow store at {client.tracking_uri} has no experiment '{EXPERIMENT}': run `dvc repro`"
        )
    return str(experiment.experiment_id)


@contextmanager
def mlflow_errors(doing: str) -> Iterator[None]:
    """Turns the exceptions of MLflow and its database into a RestorekitError that says what was being done."""
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RestorekitError(f"MLflow could not {doing}: {reason}") from error


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def _ensure_experiment(uri: str, artifacts: str | None) -> None:
    """`artifacts` is where the runs' files go; None leaves it to the server."""
    client = open_client(uri)
    with mlflow_errors(f"look for the experiment '{EXPERIMENT}' in {uri}"):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        elif experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
