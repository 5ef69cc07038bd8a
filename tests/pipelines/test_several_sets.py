"""A run on two data sets, from its parameters to the report: its job, its tests, and its data in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.report import report
from pipelines.synthesize import synthesize
from pipelines.train import make_job, train_run
from restorekit.config import Params, check_params
from restorekit.errors import RestorekitError
from restorekit.files import digest_of
from restorekit.paths import Paths
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.sources import collect_photographs
from restorekit.tracking.registry import load_registered
from tests.conftest import samples
from tests.shipped import shipped_values

RUN = "dakd-rain--weather"


def tiny(shares: dict[str, float], **train: Any) -> Params:
    values = shipped_values()
    small = {
        "short_side": 64,
        "train": {"variants": 4, "tiles": 2, "tile": 48, "shards": 2},
        "val": {"variants": 2},
        "test": {"variants": 3},
    }
    values["datasets"] = {name: values["datasets"][name] | small for name in ("rain", "haze")}
    run = {"model": "dakd", "dataset": shares, "options": {"width": 4}, "objective": {"localise_steps": 4}}
    values["runs"] = {RUN: run}
    values["train"] |= {
        "steps": 12, "crop": 32, "precision": "fp32", "checkpoint_every": 6, "log_every": 4, "validate_every": 6,
        "warmup_steps": 2, "threads_per_worker": 1, **train,
    }  # fmt: skip
    values["evaluate"]["samples"] = 2
    values["promote"]["clean_psnr"] = None  # 12 steps learn nothing
    return check_params(values)


def write_shards(paths: Paths, dataset: str, count: int) -> None:
    for split in ("train", "val"):
        folder = paths.shards(dataset) / split
        folder.mkdir(parents=True)
        shard = write_shard(folder / "0.tar", samples(0, count, 48))
        ShardManifest(dataset, dataset, split, "made", (shard,)).save(folder)


def test_a_job_has_the_folders_shares_and_digests_of_all_its_sets(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_shards(paths, "rain", 6)
    write_shards(paths, "haze", 3)
    job, digests = make_job(RUN, tiny({"rain": 0.75, "haze": 0.25}), paths)
    rain, haze = (paths.shards(name) / "train" for name in ("rain", "haze"))
    assert (job.task, job.shards, job.train_shards) == ("rain", rain.parent, {rain: 0.75, haze: 0.25})
    of_both = [ShardManifest.load(folder).digest for folder in (rain, haze)]
    assert digests["shards_digest"] == digest_of(of_both)

    other, _ = make_job(RUN, tiny({"rain": 0.5, "haze": 0.5}), paths)
    assert other.state != job.state
    shard = write_shard(haze / "0.tar", samples(3, 3, 48))
    ShardManifest("haze", "haze", "train", "made", (shard,)).save(haze)
    changed, _ = make_job(RUN, tiny({"rain": 0.75, "haze": 0.25}), paths)
    assert changed.state != job.state
    with pytest.raises(RestorekitError, match="8 samples for 9 workers"):
        make_job(RUN, tiny({"rain": 0.75, "haze": 0.25}, num_workers=9, batch_size=9), paths)


@pytest.mark.slow
def test_from_photographs_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "RESTOREKIT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    paths, params = Paths(tmp_path), tiny({"rain": 0.6, "haze": 0.4})
    collect_photographs(params.photos, tmp_path, paths.photos)
    for dataset in ("rain", "haze"):
        synthesize(dataset, params, paths)
    train_run(RUN, params, paths)
    evaluate(RUN, params, paths)
    promote(params, paths)
    report(params, paths)
    record = json.loads((paths.model(RUN) / "model.json").read_text())
    assert (record["task"], record["dataset"]) == ("rain", "rain (60 %), haze (40 %)")
    evaluation = json.loads((paths.evaluation(RUN) / "evaluation.json").read_text())
    assert [test["dataset"] for test in evaluation["tests"]] == ["synthetic-test", "synthetic-test-haze"]
    (decision,) = json.loads((paths.promotions / "decisions.json").read_text())["current"]
    assert decision["dataset"] == "synthetic-test"
    page = (paths.report / "index.html").read_text()
    assert "dakd for rain, trained on rain (60 %), haze (40 %) for 12 steps" in page
    assert "All test images are synthetic" in page
    _, registered = load_registered("dakd-rain", "candidate", paths.root)
    assert registered["digest"] == record["digest"]
