"""A working root with the inputs of `evaluate`: two photographs, darkened test images, and models that brighten them.

DMGN with a last layer of zeros returns its input; with a bias in that layer, the input plus a constant. So the tests
know a model's gain in advance, without any training.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut, chelsea

from restorekit.config import Params, check_params
from restorekit.files import sha256_file
from restorekit.image import encode_rgb
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.paths import Paths
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.sources.photo_index import Photograph, PhotoManifest
from restorekit.tracking.store import ensure_store

DARKER = 24  # levels: a test image is darker by at least this much
RUN = "dmgn-rain"

SHARDS = {"variants": 1}
VALUES: dict[str, Any] = {
    "seed": 3,
    "photos": {},
    "synthesize": {},
    "datasets": {
        "rain": {
            "task": "rain", "short_side": 64, "severity": [0.0, 1.0], "val": SHARDS, "test": SHARDS,
            "train": {"variants": 1, "tiles": 1, "tile": 32, "shards": 1},
        }
    },
    "train": {"steps": 10, "batch_size": 1, "crop": 32, "lr": 0.001},
    "runs": {RUN: {"model": "dmgn", "dataset": "rain", "options": {"variant": "rain", "width": 4, "trunk": "none"}}},
    "evaluate": {"samples": 3, "resamples": 200},
    "promote": {"clean_psnr": 20.0},  # a clean image that is brighter by DARKER levels has 20.5 dB
}  # fmt: skip


@pytest.fixture
def params() -> Params:
    return check_params(VALUES)


@pytest.fixture
def write_model(paths: Paths) -> Callable[..., None]:
    """A function that writes data/models/<run>/ with a network that adds `levels` to every value."""
    return partial(write_brightening, paths)


def write_brightening(paths: Paths, levels: float, run: str = RUN, **more: Any) -> None:
    torch.manual_seed(0)  # so that equal levels give equal weights and one digest
    model = create_model("dmgn", variant="rain", width=4, trunk="none", zero_last=True)
    with torch.no_grad():
        model.refiner.last.bias.fill_(2.0 * levels / 255.0)  # type: ignore[union-attr, operator]
    record = {
        "run": run, "task": "rain", "dataset": "rain", "seed": 3, "steps": 10, "git_revision": "abc",
        "shards_digest": "def", "sources_digest": "012", "mlflow_run_id": None, **more,
    }  # fmt: skip
    save_model(paths.model(run), model, record)
    with (paths.model(run) / "curves.csv").open("w", newline="") as file:
        rows = [(step, name, 1.0 / step) for step in range(1, 11) for name in ("loss", "loss/background", "lr")]
        csv.writer(file).writerows([("step", "name", "value"), *rows, (10, "val/psnr_rgb", 25.0)])


def write_photos(folder: Path) -> None:
    """Writes data/photos/ with two photographs of the test split."""
    folder.mkdir(parents=True)
    photographs = []
    for name, image in scenes():
        (folder / f"{name}.png").write_bytes(encode_rgb(image, "png"))
        height, width = image.shape[:2]
        file = folder / f"{name}.png"
        photographs.append(
            Photograph(
                name, file.name, width, height, sha256_file(file), file.stat().st_size, "CC0", "skimage", "test", name
            )
        )
    PhotoManifest(tuple(photographs)).save(folder)


def write_test_shards(folder: Path, darker: int = DARKER) -> None:
    """Writes test shards: three versions of each photograph, darker by `darker` to `darker` + 2 levels."""

    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        for name, clean in scenes():
            for variant in range(3):
                degraded = clean - np.uint8(darker + variant)
                record = {
                    "photograph": name, "scene": name, "task": "rain", "kind": "mixed", "severity": variant / 2,
                    "params": {"kind": ("light", "light", "heavy")[variant]},
                }  # fmt: skip
                yield (
                    f"{name}-{variant:05d}",
                    {
                        "degraded.png": encode_rgb(degraded, "png"),
                        "clean.png": encode_rgb(clean, "png"),
                        "json": json.dumps(record).encode(),
                    },
                )

    folder.mkdir(parents=True, exist_ok=True)
    shard = write_shard(folder / "000000.tar", samples())
    ShardManifest("rain", "rain", "test", "photos", (shard,)).save(folder)


def scenes() -> list[tuple[str, np.ndarray]]:
    """Two named crops with values between 40 and 220, so that darkening and brightening do not clip."""
    crops = {"astronaut": astronaut()[40:77, 200:245], "chelsea": chelsea()[80:125, 140:190]}
    return [(name, np.clip(crop, 40, 220).astype(np.uint8)) for name, crop in crops.items()]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs, for copying: creating one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("store")
        ensure_store(root)
    return root / "mlflow.db"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Paths:
    """A fresh root with photographs, test shards and a store, and no model yet."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("restorekit.report.sheets.SHORT_SIDE", 64)  # pixels: all kinds at 240 take seconds
    return write_inputs(tmp_path, empty_store)


def write_inputs(root: Path, empty_store: Path) -> Paths:
    """Writes photographs and test shards below `root`, and a store without runs."""
    paths = Paths(root)
    shutil.copyfile(empty_store, paths.mlflow)
    write_photos(paths.photos)
    write_test_shards(paths.shards("rain") / "test")
    return paths


@pytest.fixture(scope="session")
def evaluated_once(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A root whose model undoes the darkening by DARKER levels and is evaluated; for copying."""
    from pipelines.evaluate import evaluate

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        paths = write_inputs(tmp_path_factory.mktemp("evaluated"), empty_store)
        write_brightening(paths, DARKER)
        evaluate(RUN, check_params(VALUES), paths)
    return paths.root


@pytest.fixture
def evaluated(paths: Paths, evaluated_once: Path) -> Paths:
    """A root with a model that undoes the darkening, and its evaluation."""
    shutil.copytree(evaluated_once, paths.root, dirs_exist_ok=True)
    return paths
