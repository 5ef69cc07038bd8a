"""A command line that runs in this process, a photo, and folders of untrained networks."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restorekit import weights
from restorekit.cli import main
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.rng import rng_for


@dataclass
class Ended:
    returncode: int
    stdout: str
    stderr: str


TypeIn = Callable[..., Ended]


@pytest.fixture
def type_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TypeIn:
    """A function that runs a command line in this process, in `tmp_path`, which is also the root of all outputs.

    Models are shipped in `tmp_path`/shipped: at first none is.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "shipped")
    monkeypatch.setenv("RESTOREKIT_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["restorekit", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def photo(path: Path, height: int = 61, width: int = 83, **options: object) -> Path:
    coarse = rng_for(0, path.name).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path, **options)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network in a model's folder."""
    torch.manual_seed(0)
    network = create_model("dmgn", variant="rain", width=2, trunk="none")
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, network, {"run": "made", "task": "rain", "dataset": "rain", "seed": 0, "steps": 0})
    return folder
