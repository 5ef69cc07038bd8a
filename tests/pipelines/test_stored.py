"""Every stage works with `RESTOREKIT_ROOT` in a bucket and an empty cache on each machine; so does a DVC remote."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines import evaluate, photos, promote, report, synthesize, train
from restorekit.errors import RestorekitError
from restorekit.paths import working_root
from restorekit.storage import Remote, fetch
from restorekit.tracking.store import tracking_uri
from tests.shipped import shipped_values

RUN = "dmgn-haze"
ROOT = Path(__file__).parents[2]


def write_params(folder: Path) -> None:
    """Writes a params.yaml with one run of a few steps."""
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
        "steps": 10, "crop": 32, "precision": "fp32", "checkpoint_every": 4, "log_every": 2, "validate_every": 5,
        "warmup_steps": 2, "threads_per_worker": 1, "num_workers": 2, "trace": True,
    }  # fmt: skip
    kept = {name: section for name, section in values.items() if name != "real"}
    (folder / "params.yaml").write_text(yaml.safe_dump(kept))


@pytest.mark.slow
def test_every_stage_finds_the_previous_stages_outputs_in_the_bucket(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RESTOREKIT_ROOT", bucket)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    stages = {
        photos: [], synthesize: ["--dataset", "haze"], train: ["--run", RUN], evaluate: ["--run", RUN], promote: [],
        report: [],
    }  # fmt: skip
    for number, (stage, arguments) in enumerate(stages.items()):
        monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / f"machine-{number}"))
        monkeypatch.setattr("sys.argv", ["stage", *arguments])
        stage.main()
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "reader"))
    page = fetch(working_root().report)
    rows = json.loads((page / "leaderboard.json").read_text())["rows"]
    assert {row["run"] for row in rows} == {RUN}
    assert RUN in (page / "index.html").read_text()
    states = [name for name in (Remote(bucket) / "data" / "state").names() if name.startswith("shards-")]
    assert states == []  # no unfinished shards remain


@pytest.mark.slow
def test_a_dvc_remote_in_the_bucket_returns_the_pushed_files(
    bucket: str, s3_server: str, tiny_shards: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(tiny_shards, work / "shards")
    before = {file.relative_to(work): file.read_bytes() for file in (work / "shards").rglob("*") if file.is_file()}
    environment = dict(os.environ) | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}

    def dvc(*arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments, "--quiet"]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    dvc("init", "--no-scm")
    dvc("remote", "add", "--default", "stored", f"{bucket}/dvc")
    dvc("remote", "modify", "stored", "endpointurl", s3_server)
    dvc("add", "shards")
    dvc("push")
    shutil.rmtree(work / "shards")
    shutil.rmtree(work / ".dvc" / "cache")
    dvc("pull")
    assert {f.relative_to(work): f.read_bytes() for f in (work / "shards").rglob("*") if f.is_file()} == before


def test_a_bucket_without_a_tracking_server_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("RESTOREKIT_ROOT", bucket)
    with pytest.raises(RestorekitError, match=r"^s3://.* cannot hold the runs: set MLFLOW_TRACKING_URI"):
        tracking_uri(working_root().root)
