"""The one MLflow store of all processes: `MLFLOW_TRACKING_URI` where it is set, else a SQLite file in the root."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

from filelock import FileLock

# MLflow reads these when it is imported: send no telemetry, draw no progress bars for copies of small files.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Report a dead server within seconds; by default MLflow retries for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from restorekit.errors import RestorekitError
from restorekit.storage import address_of

EXPERIMENT = "restorekit"
FILE = "mlflow.db"  # `mlflow ui` opens this file of the current folder when it gets no option
ARTIFACTS = "mlruns"
_SQLITE = "sqlite:///"
# Columns of MLflow's database with addresses of artifacts.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)

for _name in ("mlflow.store.db.utils", "alembic.runtime.migration"):  # they log every table that they create
    logging.getLogger(_name).setLevel(logging.WARNING)


def tracking_uri(root: Path) -> str:
    """The store's address: from the environment, or the absolute ``sqlite:///<root>/mlflow.db``.

    Resolve the address once, in the driver, and pass it to other processes: a worker has another current folder. A
    relative SQLite address in the environment is relative to `root`.
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
    """Whether there is a store to query; a server named in the environment counts as there."""
    file = _sqlite_file(tracking_uri(root))
    return file is None or file.is_file()


def ensure_store(root: Path) -> str:
    """Creates the store and its experiment where they are missing, and returns the store's address.

    Several processes may call this at once: one of them creates the tables of a new SQLite file, under a lock.
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
    """A client of the store at `uri`, for runs and registry; it changes no setting of the process.

    A SQLite store that was moved or copied with its `mlruns` folder finds its files in the new place.
    """
    with mlflow_errors(f"open the store {uri}"):
        file = _sqlite_file(uri)
        if file is not None and file.is_file():
            _follow_move(file)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: MlflowClient) -> str:
    """The id of the project's one experiment; `ensure_store` creates it."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise RestorekitError(
            f"the MLflow store at {client.tracking_uri} has no experiment '{EXPERIMENT}': run `dvc repro`"
        )
    return str(experiment.experiment_id)


@contextmanager
def mlflow_errors(doing: str) -> Iterator[None]:
    """Turns an exception of MLflow or its database into a RestorekitError: "MLflow could not <doing>: <reason>"."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RestorekitError(f"MLflow could not {doing}: {reason}") from error


def _follow_move(file: Path) -> None:
    """Rewrites the addresses in a store whose `mlruns` folder has moved with it.

    MLflow stores absolute addresses (mlflow#24597). Without this, a moved checkout would miss its models, and a copy
    would read and write the original's files. An experiment whose files lie elsewhere by choice stays unchanged.
    """
    now = (file.parent / ARTIFACTS).as_uri()
    query = "SELECT artifact_location FROM experiments WHERE name = ?"
    with closing(sqlite3.connect(file, timeout=60)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = database.execute(query, (EXPERIMENT,)).fetchone() if "experiments" in tables else None
        then = str(found[0]) if found else now
        if then == now or not then.startswith("file:") or not then.endswith(f"/{ARTIFACTS}"):
            return
        if not (file.parent / ARTIFACTS).is_dir() and Path(unquote(urlparse(then).path)).is_dir():
            return  # the database alone was copied: its files are still where they were
        with database:  # one transaction: of two processes, the second finds nothing to change
            for table, column in (one for one in _ADDRESSES if one[0] in tables):
                database.execute(
                    f"UPDATE {table} SET {column} = :now || substr({column}, length(:then) + 1) "
                    f"WHERE {column} = :then OR substr({column}, 1, length(:then) + 1) = :then || '/'",
                    {"now": now, "then": then},
                )


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def _ensure_experiment(uri: str, artifacts: str | None) -> None:
    """Creates or restores a missing experiment; `artifacts` addresses its files, None leaves that to the server."""
    client = open_client(uri)
    with mlflow_errors(f"look for the experiment '{EXPERIMENT}' in {uri}"):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        elif experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
