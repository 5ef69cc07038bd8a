"""Shards of masks: rebuilt from their records, spread over the buckets, equal in any order of writing."""

from pathlib import Path

import numpy as np
import pytest

from restorekit.config import MaskData
from restorekit.degradations.holes import BUCKETS
from restorekit.errors import RestorekitError
from restorekit.shards.mask_shards import MaskRecipe, iter_masks, rebuild_mask
from restorekit.shards.staging import finish, stage_shard


def recipe(split: str = "train", seed: int = 3) -> MaskRecipe:
    values = {
        "task": "masks",
        "side": 48,
        "train": {"masks": 31, "shards": 3},
        "val": {"masks": 4},
        "test": {"masks": 4},
    }
    return MaskRecipe("masks", MaskData.model_validate(values), split, seed)


def test_masks_are_rebuilt_from_their_records_and_fill_every_bucket(tmp_path: Path) -> None:
    plan = recipe()
    for number in range(3):
        stage_shard(plan, number, tmp_path, tmp_path)
    assert finish(plan, tmp_path, "none").num_samples == 31
    masks = list(iter_masks(tmp_path / "train"))
    assert [key for key, _, _ in masks] == [f"train-{number:07d}" for number in range(31)]
    counts = dict.fromkeys(BUCKETS, 0)
    for _, mask, record in masks:
        np.testing.assert_array_equal(mask == 255, rebuild_mask(record))
        low, high = record["params"]["bucket"]
        assert low <= (mask == 255).mean() <= high
        counts[low, high] += 1
    assert min(counts.values()) >= 4


def test_the_bytes_do_not_depend_on_the_order_of_making(tmp_path: Path) -> None:
    forwards = [stage_shard(recipe(), number, tmp_path / "a", tmp_path) for number in range(3)]
    backwards = [stage_shard(recipe(), number, tmp_path / "b", tmp_path) for number in (2, 1, 0)]
    assert forwards == backwards[::-1]
    assert stage_shard(recipe(seed=4), 0, tmp_path / "c", tmp_path).sha256 != forwards[0].sha256


def test_shards_of_photographs_are_refused_as_shards_of_masks(tiny_shards: Path) -> None:
    with pytest.raises(RestorekitError, match="holds no mask"):
        list(iter_masks(tiny_shards / "val"))
