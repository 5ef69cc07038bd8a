"""One MLflow store for the session, and folders of tiny models to register."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.tracking.store import ensure_store

MakeModel = Callable[..., Path]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working root with a store; its name has characters that addresses must escape."""
    folder = tmp_path_factory.mktemp("tracking") / "a root, 100 % odd"
    folder.mkdir()
    ensure_store(folder)
    return folder


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A function that writes a model's folder with random weights of a seed; `fields` go into the record."""

    def make(run: str, seed: int = 0, **fields: Any) -> Path:
        torch.manual_seed(seed)
        options = {"variant": "rain", "width": 4, "trunk": "none"}
        folder = tmp_path / f"{run}-{seed}"
        record = {
            "run": run, "model": "dmgn", "task": "rain", "dataset": run.removeprefix("dmgn-"), "options": options,
            "seed": seed, "steps": 10, "git_revision": "abc", "shards_digest": "def", "sources_digest": "012",
            "mlflow_run_id": None,
        }  # fmt: skip
        save_model(folder, create_model("dmgn", **options), record | fields)
        return folder

    return make
