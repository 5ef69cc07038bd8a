"""validation: the pairs that choose become shards for the runs of their task, and are left out elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.evaluate import settings
from pipelines.train import make_job
from pipelines.validation import write_validation
from restorekit.config import Params, check_params
from restorekit.errors import RestorekitError
from restorekit.evaluation.test_sets import scored_sets
from restorekit.paths import Paths
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.shards.reader import ShardReader, iter_samples
from restorekit.storage import local_path
from tests.conftest import samples
from tests.pipelines.conftest import RUN
from tests.sources.test_choosing import STEMS, write_pairs

CHOSEN = ["1", "2", "a-1", "c"]
LEFT = ["10", "a", "b"]


@pytest.fixture
def values(params: Params, tmp_path: Path) -> dict[str, Any]:
    """Parameters with one set that both chooses and judges, and one of another task."""
    own = {"task": "rain", "layout": "plain", "root": str(write_pairs(tmp_path / "own"))}
    fog = {"task": "haze", "layout": "plain", "root": str(write_pairs(tmp_path / "fog", STEMS[:6]))}
    made = params.model_dump(mode="json")
    made["real"] |= {"validate": {"own": own, "fog": fog}, "evaluate": {"mine": own, "fog": fog}}
    return made


def write_shards(paths: Paths) -> None:
    for split in ("train", "val"):
        folder = paths.shards("rain") / split
        folder.mkdir(parents=True)
        shard = write_shard(folder / "0.tar", samples(0, 2, 40))
        ShardManifest("rain", "rain", split, "made", (shard,)).save(folder)


def test_the_pairs_become_shards(values: dict[str, Any], tmp_path: Path) -> None:
    params, paths = check_params(values), Paths(tmp_path)
    write_validation(params, paths)
    listed = json.loads((paths.validation / "sets.json").read_text())
    assert {name: (one["task"], one["pairs"], one["scenes"]) for name, one in listed.items()} == {
        "own": ("rain", 4, 4), "fog": ("haze", 3, 3),
    }  # fmt: skip
    assert listed["own"]["digest"] == ShardManifest.load(paths.validation / "own").digest
    found = list(iter_samples(paths.validation / "own"))
    assert [sample.key for sample in found] == CHOSEN
    assert all(sample.degraded.shape == sample.clean.shape == (20, 24, 3) for sample in found)
    before = {file: file.read_bytes() for file in paths.validation.rglob("*") if file.is_file()}
    write_validation(params, paths)
    assert {file: file.read_bytes() for file in paths.validation.rglob("*") if file.is_file()} == before


def test_a_run_is_chosen_by_its_tasks_sets_alone(values: dict[str, Any], tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_shards(paths)

    def digest(changes: dict[str, Any], export: str = "best") -> str:
        changed = check_params({**values, "real": changes, "train": values["train"] | {"export": export}})
        write_validation(changed, paths)
        job, digests = make_job(RUN, changed, paths)
        assert list(job.choosing) == [name for name in changes["validate"] if name == "own"]
        return digests["job_digest"]

    own, fog = ({name: values["real"]["validate"][name]} for name in ("own", "fog"))
    assert digest({"validate": {}}) == digest({"validate": fog})
    assert digest({"validate": own}) == digest({"validate": {**own, **fog}})
    assert digest({"validate": own}) != digest({"validate": {}})
    assert digest({"validate": own}, "last") == digest({"validate": {}}, "last")


def test_without_sets_the_stage_writes_an_empty_list(params: Params, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_validation(params, paths)
    assert [file.name for file in paths.validation.iterdir()] == ["sets.json"]
    assert json.loads((paths.validation / "sets.json").read_text()) == {}


def test_the_pairs_that_choose_do_not_judge(values: dict[str, Any], paths: Paths, tmp_path: Path) -> None:
    params = check_params(values)
    _, mine = scored_sets(RUN, params, paths, tmp_path)
    assert [facts.key for facts in mine.facts()] == LEFT
    del values["real"]["validate"]["own"]
    alone = check_params(values)
    _, mine = scored_sets(RUN, alone, paths, tmp_path)
    assert len(mine.facts()) == len(STEMS)
    assert settings([RUN], alone) != settings([RUN], params)


def test_a_small_set_is_refused_and_leaves_the_old_pairs(values: dict[str, Any], tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_validation(check_params(values), paths)
    few = write_pairs(tmp_path / "few", STEMS[:5])
    values["real"]["validate"]["few"] = values["real"]["validate"]["own"] | {"root": str(few)}
    with pytest.raises(RestorekitError, match=r"real\.validate\.few: 5 scenes are too few"):
        write_validation(check_params(values), paths)
    assert len(list(iter_samples(paths.validation / "own"))) == 4


def test_another_machine_reads_the_pairs_from_the_storage(
    values: dict[str, Any], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "machine-1"))
    write_validation(check_params(values), Paths(local_path(bucket)))
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "machine-2"))
    assert [sample.key for sample in ShardReader(Paths(local_path(bucket)).validation / "own")] == CHOSEN
