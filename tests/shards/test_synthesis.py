"""Synthesis: a sample depends only on its place, and its record rebuilds the sample bit for bit."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from restorekit.config import AnyDataset, PhotosConfig
from restorekit.degradations import DEGRADATIONS
from restorekit.errors import RestorekitError
from restorekit.image import encode_grey, to_uint8
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.reader import ShardSample, iter_samples
from restorekit.shards.staging import finish, stage_shard
from restorekit.shards.synthesis import FrameRecipe, rebuild, recipe_for
from restorekit.sources.collection import collect_photographs
from restorekit.sources.folders import load_mask
from restorekit.sources.photo_index import PhotoIndex

TASKS = tuple(DEGRADATIONS)


MEMBERS = [
    ("reflection", "layer"), ("haze", "transmission"), ("raindrop", "mask"), ("motion_blur", "mask"),
    ("inpainting", "mask"), ("mixed", "mask"),
]  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root") / "photos"
    collect_photographs(PhotosConfig(), folder.parent, folder)
    return folder


def recipe(photos: Path, task: str, split: str, encoding: str = "png", seed: int = 5, **changes) -> FrameRecipe:
    values = {
        "task": task, "short_side": 72, "severity": [0.3, 0.8],
        "train": {"variants": 2, "tiles": 2, "tile": 48, "shards": 2}, "val": {"variants": 2}, "test": {"variants": 2},
    }  # fmt: skip
    dataset = TypeAdapter(AnyDataset).validate_python(values | changes)
    return recipe_for(task, dataset, split, seed, encoding, PhotoIndex.open(photos))


def made(recipe: FrameRecipe, photos: Path, folder: Path) -> list[ShardSample]:
    for number in range(recipe.num_shards):
        stage_shard(recipe, number, folder, photos)
    finish(recipe, folder, "photos")
    return list(iter_samples(folder / recipe.split))


def test_a_share_of_the_training_photographs_is_out_of_focus(photos: Path, tmp_path: Path) -> None:
    train = {"variants": 4, "tiles": 1, "tile": 48, "shards": 1}
    sharp = made(recipe(photos, "raindrop", "train", train=train), photos, tmp_path / "sharp")
    plan = recipe(photos, "raindrop", "train", train={**train, "out_of_focus": 0.5})
    some = made(plan, photos, tmp_path / "some")
    index = PhotoIndex.open(photos)
    blurred = [sample.record["focus"] is not None for sample in some]
    assert 0.2 < np.mean(blurred) < 0.8
    for one, other, is_blurred in zip(sharp, some, blurred, strict=True):
        assert one.record["focus"] is None
        assert one.record["params"] == other.record["params"]  # the degradation is the same
        assert is_blurred or np.array_equal(one.clean, other.clean)
        top, left, height, width = other.record["tile"]
        again = rebuild(other.record, index).clean[top : top + height, left : left + width]
        assert np.array_equal(to_uint8(again), other.clean)
    assert any(not np.array_equal(one.clean, other.clean) for one, other in zip(sharp, some, strict=True))
    tests = made(recipe(photos, "raindrop", "test", train={**train, "out_of_focus": 0.5}), photos, tmp_path / "test")
    assert {sample.record["focus"] for sample in tests} == {None}


@pytest.mark.parametrize("task", [task for task in TASKS if task != "inpainting"])
def test_a_share_of_the_training_frames_is_clean_and_a_share_passes_a_camera(
    photos: Path, tmp_path: Path, task: str
) -> None:
    train = {"variants": 8, "tiles": 1, "tile": 48, "shards": 1, "clean": 0.4, "camera": 0.6}
    plain = made(recipe(photos, task, "train", train={**train, "clean": 0.0, "camera": 0.0}), photos, tmp_path / "0")
    samples = made(recipe(photos, task, "train", train=train), photos, tmp_path / "1")
    index = PhotoIndex.open(photos)
    cleans = [sample.record["clean"] for sample in samples]
    assert 0.15 < np.mean(cleans) < 0.65
    for before, sample, clean in zip(plain, samples, cleans, strict=True):
        assert before.record["clean"] is False
        assert before.record["camera"] is None
        assert before.record["params"] == sample.record["params"]  # the degradation is the same
        taken = sample.record["camera"] is not None
        if not taken:
            np.testing.assert_array_equal(sample.clean, before.clean)
            expected = before.clean if clean else before.degraded
            np.testing.assert_array_equal(sample.degraded, expected)
        if clean and sample.mask is not None:
            assert sample.mask.max() == 0
        top, left, height, width = sample.record["tile"]
        frame = rebuild(sample.record, index)
        again = frame.degraded[top : top + height, left : left + width]
        np.testing.assert_array_equal(to_uint8(again), sample.degraded)
    for kind in (True, False):
        cameras = [s.record["camera"] is not None for s, clean in zip(samples, cleans, strict=True) if clean == kind]
        assert 0.1 < np.mean(cameras) < 0.95
    tests = made(recipe(photos, task, "test", train=train), photos, tmp_path / "test")
    assert {(sample.record["clean"], sample.record["camera"]) for sample in tests} == {(False, None)}


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_rebuilt_from_their_records(photos: Path, tmp_path: Path, task: str) -> None:
    plan = recipe(photos, task, "train")
    samples = made(plan, photos, tmp_path)
    assert len(samples) == plan.num_frames * 2
    for sample in samples[::3]:
        frame = rebuild(sample.record, PhotoIndex.open(photos))
        top, left, height, width = sample.record["tile"]
        window = np.s_[top : top + height, left : left + width]
        np.testing.assert_array_equal(to_uint8(frame.degraded[window]), sample.degraded)
        np.testing.assert_array_equal(to_uint8(frame.clean[window]), sample.clean)
        assert 0.0 <= sample.record["clipped"] <= 1.0


@pytest.mark.parametrize("task, member", MEMBERS)
def test_each_task_has_the_member_for_its_training(photos: Path, tmp_path: Path, task: str, member: str) -> None:
    sample = made(recipe(photos, task, "val"), photos, tmp_path)[0]
    values = getattr(sample, member)
    assert values.shape[:2] == sample.clean.shape[:2]
    assert values.std() > 0


@pytest.mark.parametrize("task", TASKS)
def test_the_bytes_do_not_depend_on_the_order_of_writing(photos: Path, tmp_path: Path, task: str) -> None:
    plan = recipe(photos, task, "train")
    forwards = [stage_shard(plan, number, tmp_path / "a", photos) for number in (0, 1)]
    backwards = [stage_shard(plan, number, tmp_path / "b", photos) for number in (1, 0)]
    assert forwards == backwards[::-1]
    assert forwards[0].sha256 != forwards[1].sha256


def test_splits_share_no_photograph_and_test_images_stay_whole(photos: Path, tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}
    for split in ("train", "val", "test"):
        for sample in made(recipe(photos, "reflection", split), photos, tmp_path / split):
            names = {sample.record["photograph"], sample.record["other"]["photograph"]}
            seen.setdefault(split, set()).update(names)
            if split != "train":
                assert min(sample.clean.shape[:2]) == 72
    for one, another in itertools.combinations(seen.values(), 2):
        assert not one & another


def test_severities_cover_the_range_for_every_photograph(photos: Path, tmp_path: Path) -> None:
    samples = made(recipe(photos, "rain", "test", test={"variants": 4}), photos, tmp_path)
    for name in {sample.record["photograph"] for sample in samples}:
        severities = sorted(s.record["severity"] for s in samples if s.record["photograph"] == name)
        edges = np.linspace(0.3, 0.8, 5)
        assert all(low <= s <= high for s, low, high in zip(severities, edges, edges[1:], strict=False))


def test_samples_depend_on_the_seed_and_not_on_the_encoding(photos: Path, tmp_path: Path) -> None:
    first = made(recipe(photos, "rain", "val"), photos, tmp_path / "a")
    other = made(recipe(photos, "rain", "val", seed=6), photos, tmp_path / "b")
    webp = made(recipe(photos, "rain", "val", encoding="webp"), photos, tmp_path / "c")
    assert not np.array_equal(first[0].degraded, other[0].degraded)
    np.testing.assert_array_equal(first[0].degraded, webp[0].degraded)


def test_jpeg_with_a_quality_loses_little_and_keeps_masks_exact(photos: Path, tmp_path: Path) -> None:
    whole = made(recipe(photos, "inpainting", "val"), photos, tmp_path / "png")
    sizes = []
    for quality in (70, 95):
        plan = replace(recipe(photos, "inpainting", "val", encoding="jpeg"), quality=quality)
        lossy = made(plan, photos, tmp_path / str(quality))
        for one, other in zip(whole, lossy, strict=True):
            assert 0 < np.abs(one.clean.astype(int) - other.clean).mean() < 6
            np.testing.assert_array_equal(one.mask, other.mask)
        sizes.append(sum(shard.bytes for shard in ShardManifest.load(tmp_path / str(quality) / "val").shards))
    assert sizes[0] < sizes[1]


def test_holes_from_a_folder_are_the_users_masks(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    (folder / "more").mkdir(parents=True)
    for number, side in enumerate((30, 60)):
        grey = np.zeros((side, 50), np.uint8)
        grey[: side // 3, :25] = 200  # a hole at the border, a sixth of the frame
        (folder / "more" / f"{number}.png").write_bytes(encode_grey(grey))
    changes = {"kind": "files", "masks": str(folder), "val": {"variants": 12}}
    plan = recipe(photos, "inpainting", "val", **changes)
    samples = made(plan, photos, tmp_path / "out")
    free = [sample.record["params"]["free_border"] > 0 for sample in samples]
    assert 0 < sum(free) < len(free)
    assert {sample.record["mask_file"]["file"] for sample in samples} == {"more/0.png", "more/1.png"}
    for sample, is_free in zip(samples, free, strict=True):
        params = sample.record["params"]
        assert (sample.mask == 255).mean() == pytest.approx(params["share"], abs=1e-6)
        assert params["bucket"] == ([0.01, 0.1] if params["share"] <= 0.1 else [0.1, 0.2])
        assert bool(sample.mask[0].any()) != is_free
        frame = rebuild(sample.record, PhotoIndex.open(photos), folder)
        np.testing.assert_array_equal(to_uint8(frame.degraded), sample.degraded)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert (
        recipe(photos, "inpainting", "val", **changes | {"masks": str(moved)}).digest_values() == plan.digest_values()
    )
    (folder / "more" / "0.png").write_bytes(encode_grey(np.zeros((30, 50), np.uint8)))
    load_mask.cache_clear()
    with pytest.raises(RestorekitError, match="not the one it was"):
        made(plan, photos, tmp_path / "again")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RestorekitError, match=r"datasets\.inpainting\.masks: no picture in"):
        recipe(photos, "inpainting", "val", kind="files", masks=str(tmp_path / "empty"))


def test_records_are_plain_json(photos: Path, tmp_path: Path) -> None:
    for sample in made(recipe(photos, "haze", "val"), photos, tmp_path):
        assert json.loads(json.dumps(sample.record)) == sample.record


def test_more_shards_than_frames_is_refused_with_the_arithmetic(photos: Path) -> None:
    with pytest.raises(RestorekitError, match=r"1 photographs x 2 variants\) for 9 shards"):
        recipe(photos, "rain", "val", val={"variants": 2, "shards": 9})


def test_a_changed_photograph_is_refused(photos: Path, tmp_path: Path) -> None:
    copied = tmp_path / "photos"
    shutil.copytree(photos, copied)
    plan = recipe(copied, "rain", "val", short_side=70)
    victim = copied / PhotoIndex.open(copied).photograph("val", 0).file
    victim.write_bytes(victim.read_bytes() + b"x")
    with pytest.raises(RestorekitError, match="not the one of the manifest"):
        stage_shard(plan, 0, tmp_path / "out", copied)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.tar"))
