"""pairs: a public set becomes training shards through the same staging as synthetic pairs."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.pairs import settings, training_pairs, write_pairs
from pipelines.train import make_job
from restorekit.config import Params, check_params
from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb
from restorekit.paths import Paths
from restorekit.rng import rng_for
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.plan import begin_epoch
from restorekit.shards.real_shards import pair_recipes
from restorekit.shards.staging import finish, stage_shard
from restorekit.sources.real_pairs import find_pairs, pairs_digest
from restorekit.training.batches import train_batches

NAME = "rain-own"
RUN = f"dmgn-{NAME}"


@pytest.fixture
def real(params: Params, tmp_path: Path) -> Params:
    for number in range(6):
        for folder in ("input", "target"):
            image = rng_for(0, folder, number).integers(0, 256, (40, 44, 3)).astype(np.uint8)
            (tmp_path / "own" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "own" / folder / f"{number}.png").write_bytes(encode_rgb(image, "png"))
    values = params.model_dump(mode="json")
    own = {"task": "rain", "layout": "plain", "root": str(tmp_path / "own")}
    values["real"]["train"][NAME] = own | {"train": {"tiles": 2, "tile": 32, "shards": 2}}
    values["real"]["evaluate"]["mine"] = own | {"root": "elsewhere"}
    values["runs"] = {RUN: values["runs"]["dmgn-rain"] | {"dataset": NAME}}
    return check_params(values)


def write_here(params: Params, paths: Paths) -> None:
    """Does the work of `write_pairs` without a cluster."""
    config = params.real.train[NAME]
    root = Path(config.root)
    pairs = training_pairs(NAME, params, root)
    for recipe in pair_recipes(NAME, config, params.seed, params.synthesize.encoding, pairs):
        for number in range(recipe.num_shards):
            stage_shard(recipe, number, paths.shards(NAME), root)
        finish(recipe, paths.shards(NAME), pairs_digest(pairs))


def test_a_run_trains_on_a_public_set(real: Params, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_here(real, paths)
    train, val = (ShardManifest.load(paths.shards(NAME) / split) for split in ("train", "val"))
    assert (train.dataset, train.task, train.split) == (NAME, "rain", "train")
    assert train.num_samples == 2 * (6 - val.num_samples)

    job, digests = make_job(RUN, real, paths)
    assert (job.task, digests["shards_digest"]) == ("rain", train.digest)
    cursor = begin_epoch(0, train.num_samples, batch_size=2)
    batch = next(train_batches(job.train_shards, cursor, (0, 1), 0, job.seed, 32, ()))
    assert batch.images["degraded"].shape == batch.images["clean"].shape == (2, 3, 32, 32)


def test_no_run_learns_from_a_pair_that_chooses(real: Params, tmp_path: Path) -> None:
    """Of six pairs, those numbered 0, 2 and 4 choose."""
    values = real.model_dump(mode="json")
    values["real"]["validate"] = {"mine": {"task": "rain", "layout": "plain", "root": str(tmp_path / "own")}}
    params = check_params(values)
    pairs = training_pairs(NAME, params, tmp_path / "own")
    assert [pair.input for pair in pairs] == [f"input/{number}.png" for number in (1, 3, 5)]
    assert len(training_pairs(NAME, real, tmp_path / "own")) == 6
    assert settings(NAME, params) != settings(NAME, real)


@pytest.mark.slow
def test_the_cluster_writes_the_same_bytes(
    real: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_here(real, Paths(tmp_path / "here"))
    write_pairs(NAME, real, Paths(tmp_path))
    assert "2 shards" in capsys.readouterr().out
    for split in ("train", "val"):
        here, there = (Paths(root).shards(NAME) / split for root in (tmp_path / "here", tmp_path))
        assert ShardManifest.load(there) == ShardManifest.load(here)
    assert not list(Paths(tmp_path).state("x").parent.glob("shards-*"))


def test_errors_name_a_missing_or_unknown_set(real: Params, tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="did you mean 'rain-own'"):
        write_pairs("rain-won", real, Paths(tmp_path))
    for pair in find_pairs("real", tmp_path / "own", "plain"):
        (tmp_path / "own" / pair.input).unlink()
    with pytest.raises(RestorekitError, match=r"real\.train\.rain-own: no file in .* has a name of layout 'plain'"):
        write_pairs(NAME, real, Paths(tmp_path))
    assert not (tmp_path / "data").exists()
