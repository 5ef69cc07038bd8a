"""The whole pipeline at a tiny size: from photographs to a restored photo."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.report import report
from pipelines.synthesize import synthesize
from pipelines.train import make_job, train_run
from restorekit.cli import main as restorekit
from restorekit.config import Params, SynthesizeConfig, check_params
from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb, read_image, to_float, to_uint8
from restorekit.inference.restorer import Restorer
from restorekit.paths import Paths
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.reader import iter_samples
from restorekit.sources import PhotoManifest, collect_photographs
from restorekit.tracking.registry import load_registered
from tests.shipped import shipped_values

RUN = "dmgn-haze"


def tiny_params(seed: int = 1, **train: object) -> Params:
    values = shipped_values()
    small = {
        "short_side": 64,
        "train": {"variants": 4, "tiles": 2, "tile": 48, "shards": 2},
        "val": {"variants": 2},
        "test": {"variants": 3},
    }
    values["datasets"] = {"haze": values["datasets"]["haze"] | small}
    values["runs"] = {RUN: values["runs"][RUN] | {"train": {}}}
    values["runs"][RUN]["options"]["width"] = 4
    values["train"] |= {
        "steps": 60, "crop": 32, "lr": 0.005, "precision": "fp32", "checkpoint_every": 20, "log_every": 10,
        "validate_every": 30, "warmup_steps": 2, "threads_per_worker": 1, **train,
    }  # fmt: skip
    values["evaluate"]["samples"] = 2
    values["promote"]["clean_psnr"] = None  # 60 steps of haze teach to darken any image
    values["seed"] = seed
    return check_params(values)


@pytest.fixture
def local_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "RESTOREKIT_ROOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("local_only")
def test_from_photographs_to_a_restored_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, params = Paths(tmp_path), tiny_params()
    collect_photographs(params.photos, tmp_path, paths.photos)
    synthesize("haze", params, paths)
    train_run(RUN, params, paths)
    evaluate(RUN, params, paths)
    promote(params, paths)
    monkeypatch.setattr("restorekit.report.sheets.SHORT_SIDE", 64)  # pixels: all kinds at 240 take seconds
    report(params, paths)

    rows = json.loads((paths.report / "leaderboard.json").read_text())["rows"]
    row = next(row for row in rows if row["protocol"] == "psnr_rgb" and row["slice"] == "all")
    assert (row["run"], row["model"], row["task"], row["n"], row["photographs"]) == (RUN, "dmgn", "haze", 6, 2)
    assert row["restored"] - row["degraded"] > 1.0
    assert row["ci95"][0] > 0
    assert row["alias"] == "champion"
    assert RUN in (paths.report / "index.html").read_text()

    # A second call trains nothing: the state is complete and the model is registered.
    capsys.readouterr()
    train_run(RUN, params, paths)
    printed = capsys.readouterr().out
    assert "60 of 60 steps are done" in printed
    assert "version 1" in printed
    assert re.search(
        r"highest gain in validation: synthetic images \+\d+\.\d\d dB at step \d+; step 60 is exported", printed
    )

    # The champion restores a photo of a new size.
    sample = next(iter(iter_samples(paths.shards("haze") / "test")))
    pixels = np.ascontiguousarray(sample.degraded[:51, :67])
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_rgb(pixels, "png"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["restorekit", "restore", str(photo), "--model", RUN, "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        restorekit()
    assert ended.value.code in (0, None)
    champion, record = load_registered(RUN, root=tmp_path)
    assert record["steps"] == 60
    expected = to_uint8(Restorer(champion).restore(to_float(pixels)))
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "photo.restored.png").pixels), expected)
    assert not np.array_equal(expected, pixels)


@pytest.mark.usefixtures("local_only")
def test_one_process_and_two_and_a_cluster_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = []
    for place, number in (("one", 1), ("two", 2), ("cluster", 2)):
        paths, params = Paths(tmp_path / place), tiny_params()
        params = params.model_copy(update={"synthesize": SynthesizeConfig(num_workers=number)})
        collect_photographs(params.photos, tmp_path, paths.photos)
        if place == "cluster":
            monkeypatch.setenv("RAY_ADDRESS", "local")
        synthesize("haze", params, paths)
        files = sorted(paths.shards("haze").rglob("*"))
        manifests.append([(str(f.relative_to(paths.root)), f.read_bytes()) for f in files if f.is_file()])
    monkeypatch.delenv("RAY_ADDRESS")
    assert manifests[0] == manifests[1] == manifests[2]
    assert {Path(name).suffix for name, _ in manifests[0]} == {".tar", ".idx", ".json"}

    # A changed photograph raises a one-sentence error, and the old shards stay.
    paths = Paths(tmp_path / "two")
    photograph = PhotoManifest.load(paths.photos).split("train")[0]
    (paths.photos / photograph.file).write_bytes(b"no photograph")
    with pytest.raises(RestorekitError, match="is not the one of the manifest"):
        synthesize("haze", tiny_params(seed=9), paths)
    assert ShardManifest.load(paths.shards("haze") / "train").num_samples == 40


def test_the_error_of_training_before_synthesis_has_the_command(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="dvc repro synthesize"):
        make_job(RUN, tiny_params(), Paths(tmp_path))
