"""Scoring on a cluster gives the same rows and pictures, in the same order, as scoring in one process."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.config import check_params
from restorekit.errors import RestorekitError
from restorekit.evaluation.folder import Subject, write_evaluation
from restorekit.evaluation.scoring import Restored, scoring
from restorekit.evaluation.test_sets import PairPart, PairSet, synthetic_test
from restorekit.image import encode_rgb
from restorekit.models import create_model
from restorekit.rng import rng_for
from restorekit.shards.manifest import ShardManifest, write_shard
from tests.shipped import shipped_values

COUNTS = (3, 4, 2)


def samples(shard: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    for number in range(COUNTS[shard]):
        rng = rng_for(3, shard, number)
        images = {name: rng.integers(0, 256, (71, 87, 3), dtype=np.uint8) for name in ("degraded", "clean")}
        record = {"photograph": f"p{number}", "scene": "s", "kind": "noise", "severity": 0.5, "task": "rain"}
        members = {f"{name}.png": encode_rgb(image, "png") for name, image in images.items()}
        yield f"{shard}-{number}", {**members, "json": json.dumps(record).encode()}


@pytest.fixture
def pairs(tmp_path: Path) -> PairSet:
    shards = tuple(write_shard(tmp_path / f"{shard}.tar", samples(shard)) for shard in range(len(COUNTS)))
    ShardManifest("rain", "rain", "test", "made", shards).save(tmp_path)
    return synthetic_test(tmp_path)


def same(one: Restored, other: Restored) -> bool:
    return one.score == other.score and bool(
        np.array_equal(one.image, other.image) and np.array_equal(one.pair.clean, other.pair.clean)
    )


@pytest.mark.parametrize("start, stop", [(0, 9), (2, 5), (3, 3), (8, 9)])
def test_a_part_of_a_set_equals_the_slice_of_the_whole(pairs: PairSet, start: int, stop: int) -> None:
    assert pairs.part is not None
    assert pairs.part.num_pairs == 9
    keys = [pair.facts.key for pair in pairs.open()]
    assert keys == [f"{shard}-{number}" for shard, count in enumerate(COUNTS) for number in range(count)]
    assert [pair.facts.key for pair in pairs.part.open(start, stop)] == keys[start:stop]


@pytest.mark.usefixtures("two_cpus")
def test_cluster_scores_equal_those_of_one_process(pairs: PairSet) -> None:
    torch.manual_seed(1)
    model = create_model("dmgn", variant="rain", width=2, trunk="none", init="he").eval()
    here = list(scoring(model, "fp32", spread=False)(pairs))
    assert pairs.part is not None
    opened = pairs.part.open
    doubled = replace(pairs, part=PairPart(2, lambda start, stop: opened(0, 1)))

    def broken(start: int, stop: int) -> Iterator[object]:
        raise RestorekitError("shard 1.tar is missing")

    lost = replace(pairs, part=PairPart(9, broken))  # type: ignore[arg-type]
    spread = scoring(model, "fp32", spread=True)
    there = list(spread(pairs))
    with pytest.raises(RestorekitError, match=r"^'0-0' is twice in synthetic-test"):
        list(spread(doubled))
    with pytest.raises(RestorekitError, match=r"^shard 1\.tar is missing$"):
        list(spread(lost))
    assert len(there) == 9
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("model", ["dakd", "glsgn"])
def test_the_second_passes_of_a_network_take_place_on_the_nodes_and_change_no_file(
    model: str, pairs: PairSet, tmp_path: Path
) -> None:
    """Masks, paths and clean photographs: the network of this process is not even asked."""
    torch.manual_seed(1)
    network = create_model(model, **({"width": 4, "init": "he"} if model == "dakd" else {"width": 4})).eval()
    record = {"model": model, "task": "rain", "dataset": "rain", "digest": "d", "steps": 1, "flips": []}
    subject = Subject(f"{model}-rain", f"{model}-rain", 1, network, record)
    values = shipped_values()
    values["evaluate"] |= {"samples": 2, "resamples": 100}
    params = check_params(values)
    write_evaluation(tmp_path / "here", subject, [pairs], [], params)
    asked: list[object] = []
    for module in network.modules():
        module.register_forward_pre_hook(lambda _, args: asked.append(args))
    write_evaluation(tmp_path / "there", subject, [pairs], [], params, spread=True)
    files = {
        folder: {file.relative_to(tmp_path / folder): file.read_bytes() for file in (tmp_path / folder).rglob("*.*")}
        for folder in ("here", "there")
    }
    assert asked == []
    assert files["there"] == files["here"]
    found = json.loads((tmp_path / "here" / "evaluation.json").read_text())
    assert found["masks" if model == "dakd" else "patches"]
    assert found["clean"]
