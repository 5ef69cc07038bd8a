"""Registers a model's folder once, finds the version again by its digest, and loads it by alias or version."""

from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from torch import nn

from restorekit.errors import RestorekitError, unknown_name
from restorekit.models.checkpoint import load_model, read_record
from restorekit.paths import working_root
from restorekit.tracking.runs import RunLogger, has_run
from restorekit.tracking.store import ensure_store, mlflow_errors, open_client, tracking_uri
from restorekit.tracking.versions import (
    CANDIDATE,
    CHAMPION,
    RegisteredVersion,
    find_digest,
    list_registered,
    versions_of,
)

LOADER = "restorekit.tracking.pyfunc"
REQUIREMENTS = ("torch", "numpy", "safetensors", "opencv-python-headless")  # and restorekit itself
# DVC restores a stage's outputs from its cache, but not the stage's records in MLflow.
REMEDY = "run `dvc repro`; if it finds nothing to do, `dvc repro -f -s evaluate promote`"


class UnusableVersionError(RestorekitError):
    """A registered version that can no longer load: its files are gone, or its network has changed."""


def registered_name(record: dict[str, Any]) -> str:
    """The record's registered name, or `<model>-<data set>` where the record has none."""
    return str(record.get("registered_name") or f"{record['model']}-{record['dataset']}")


def register(model_dir: Path, root: Path) -> int:
    """The number of a new version with the alias `candidate`, registered from the folder.

    The files go into the training's own run, or into a new run where the store does not have that one. A damaged
    folder raises a RestorekitError.
    """
    _, record = load_model(model_dir)  # verifies the digest now, not when somebody restores a photo
    uri, name = ensure_store(root), registered_name(record)
    client = open_client(uri)
    run_id = _run_of(record, uri)
    with mlflow_errors(f"register {model_dir} as '{name}'"), TemporaryDirectory() as scratch:
        mlflow.pyfunc.save_model(
            Path(scratch) / "model", loader_module=LOADER, data_path=str(model_dir), pip_requirements=_requirements()
        )
        place = f"model-{record['digest'][:12]}"
        client.log_artifacts(run_id, str(Path(scratch) / "model"), place)
        _ensure_model(client, name)
        source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
        created = client.create_model_version(name, source, run_id, tags=_tags(record))
        client.set_registered_model_alias(name, CANDIDATE, str(created.version))
    return int(created.version)


def find_or_register(model_dir: Path, root: Path) -> RegisteredVersion:
    """The version with the folder's digest; registers one if there is none or its files are gone.

    The version ends with the alias `candidate`, unless it already has an alias.
    """
    record = read_record(model_dir)
    name = registered_name(record)
    found = find_digest(name, record["digest"], root)
    if found is not None and found.aliases:
        return found
    if found is None:
        register(model_dir, root)
    else:
        with mlflow_errors(f"name version {found.version} of '{name}' the candidate"):
            open_client(tracking_uri(root)).set_registered_model_alias(name, CANDIDATE, str(found.version))
    found = find_digest(name, record["digest"], root)
    if found is None:
        raise RestorekitError(
            f"MLflow does not list the version of '{name}' that was just registered: run the same command again"
        )
    return found


def load_registered(name: str, alias: str = CHAMPION, root: Path | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The model with `alias`, in eval mode, and its record; `root` defaults to the working root.

    A missing model or alias raises a RestorekitError that lists the known ones.
    """
    root = root or working_root().root
    versions = versions_of(name, root)
    found = next((version for version in versions if alias in version.aliases), None)
    if found is not None:
        return load_version(found, root)
    if versions:
        known = [f"{alias} (version {version.version})" for version in versions for alias in version.aliases]
        raise RestorekitError(
            f"'{name}' has no {alias}; its aliases are {', '.join(known) or 'none'}: name one of them, or {REMEDY}"
        )
    names = sorted({version.name for version in list_registered(root)})
    if not names:
        raise RestorekitError(f"no model is registered under {root}, so '{name}' cannot be loaded: {REMEDY}")
    raise RestorekitError(f"{unknown_name('registered model', name, names)}. To make it, {REMEDY}")


def load_version(found: RegisteredVersion, root: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The model of a version, in eval mode, and its record; verifies the digest.

    Raises UnusableVersionError where the version can never load, and another RestorekitError where MLflow does not
    answer.
    """
    what = f"version {found.version} of '{found.name}'"
    if not found.has_files:
        raise UnusableVersionError(f"the files of {what} are gone from {found.source}: put them back, or {REMEDY}")
    with mlflow_errors(f"fetch {what}"), found.files(tracking_uri(root)) as folder:
        flavor = mlflow.models.Model.load(str(folder)).flavors["python_function"]
        try:
            model, record = load_model(folder / flavor["data"])
        except RestorekitError as error:
            raise UnusableVersionError(
                f"{what} cannot be loaded ({error}): delete it in MLflow, then {REMEDY}"
            ) from error
    if record["digest"] != found.digest:
        raise UnusableVersionError(
            f"{what} is not the model that was registered (its digest differs): delete it in MLflow, then {REMEDY}"
        )
    return model, record


def set_champion(found: RegisteredVersion, root: Path) -> None:
    """Moves the alias `champion` to the version and removes its alias `candidate`."""
    client = open_client(tracking_uri(root))
    with mlflow_errors(f"make version {found.version} the champion of '{found.name}'"):
        client.set_registered_model_alias(found.name, CHAMPION, str(found.version))
        if CANDIDATE in found.aliases:
            client.delete_registered_model_alias(found.name, CANDIDATE)


def set_tags(found: RegisteredVersion, tags: dict[str, str], root: Path) -> None:
    """Sets tags of the version and replaces tags of the same names."""
    client = open_client(tracking_uri(root))
    with mlflow_errors(f"tag version {found.version} of '{found.name}'"):
        for key, value in tags.items():
            client.set_model_version_tag(found.name, str(found.version), key, value)


def set_description(found: RegisteredVersion, text: str, root: Path) -> None:
    """Sets the description that MLflow shows with the version."""
    with mlflow_errors(f"describe version {found.version} of '{found.name}'"):
        open_client(tracking_uri(root)).update_model_version(found.name, str(found.version), text)


def _run_of(record: dict[str, Any], uri: str) -> str:
    """The id of the training's run, or of a new run where this store does not have the training."""
    run_id = record.get("mlflow_run_id")
    with mlflow_errors("find the run of a training"):
        if run_id and has_run(uri, run_id):
            return str(run_id)
    logger = RunLogger.start(uri, record["run"], tags={"registered_from": f"a cached model, {record['digest']}"})
    logger.finish()
    return logger.run_id


def _tags(record: dict[str, Any]) -> dict[str, str]:
    names = ("run", "task", "digest", "git_revision", "shards_digest", "job_digest", "seed", "steps")
    return {name: str(record[name]) for name in names if record.get(name) is not None}


def _requirements() -> list[str]:
    """Pins of the installed packages, without a local build's suffix (2.13.0+cpu), which no index has."""
    return [f"{name}=={installed_version(name).split('+')[0]}" for name in REQUIREMENTS]


def _ensure_model(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
