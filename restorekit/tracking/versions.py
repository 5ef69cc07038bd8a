"""Finds registered versions, with their aliases and tags, by name, alias or digest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlparse

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from restorekit.paths import working_root
from restorekit.tracking.store import has_store, mlflow_errors, open_client, tracking_uri

CANDIDATE = "candidate"  # the version that was trained or judged last, until its promotion
CHAMPION = "champion"  # the version that restores people's photos


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model; `source` is the address of its files."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run_id: str
    source: str
    created_ms: int  # since 1970, UTC

    @property
    def digest(self) -> str:
        """The digest of the version's weights and options."""
        return self.tags.get("digest", "")

    @property
    def has_files(self) -> bool:
        """Whether the version's files exist; files on a server count as there."""
        local = _local_folder(self.source)
        return local is None or (local / "MLmodel").is_file()

    @contextmanager
    def files(self, uri: str) -> Iterator[Path]:
        """The folder of the version's files: the local folder, or a download that is removed afterwards."""
        local = _local_folder(self.source)
        if local is not None:
            yield local
            return
        with TemporaryDirectory() as scratch:
            yield Path(
                mlflow.artifacts.download_artifacts(artifact_uri=self.source, dst_path=scratch, tracking_uri=uri)
            )


def versions_of(name: str, root: Path) -> list[RegisteredVersion]:
    """The versions of a registered model, newest first; empty where the name or the store is unknown."""
    if not has_store(root):
        return []
    client = open_client(tracking_uri(root))
    with mlflow_errors(f"look for '{name}'"):
        aliases = _aliases(client, name)
        found = client.search_model_versions(f"name='{name}'", max_results=10_000)
    return sorted((_described(version, aliases) for version in found), key=lambda version: -version.version)


def list_registered(root: Path | None = None) -> list[RegisteredVersion]:
    """Every registered version, sorted by name, newest first; `root` defaults to the working root."""
    root = root or working_root().root
    if not has_store(root):
        return []
    with mlflow_errors("list the registered models"):
        models = open_client(tracking_uri(root)).search_registered_models(max_results=1000)
    return [version for name in sorted(model.name for model in models) for version in versions_of(name, root)]


def find_alias(name: str, alias: str, root: Path) -> RegisteredVersion | None:
    """The version with the alias, or None."""
    return next((version for version in versions_of(name, root) if alias in version.aliases), None)


def find_digest(name: str, digest: str, root: Path) -> RegisteredVersion | None:
    """The newest version with the digest whose files still exist, or None."""
    return next((found for found in versions_of(name, root) if found.digest == digest and found.has_files), None)


def _aliases(client: MlflowClient, name: str) -> dict[str, int]:
    try:
        return {alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def _described(found: ModelVersion, aliases: dict[str, int]) -> RegisteredVersion:
    return RegisteredVersion(
        name=found.name,
        version=int(found.version),
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == int(found.version))),
        tags=dict(found.tags),
        run_id=str(found.run_id or ""),
        source=str(found.source),
        created_ms=int(found.creation_timestamp),
    )


def _local_folder(uri: str) -> Path | None:
    parts = urlparse(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None
