"""Frames of one size from larger photographs, and data sets that join them with real pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from skimage.data import astronaut, chelsea, coffee, rocket

from restorekit.config import AnyDataset, PhotosConfig
from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb
from restorekit.rng import rng_for
from restorekit.shards.frames import draw_frame, draw_part, is_large_enough
from restorekit.shards.reader import ShardSample, iter_samples
from restorekit.shards.real_shards import JoinedRecipe, with_pairs
from restorekit.shards.staging import Recipe, finish, stage_shard
from restorekit.shards.synthesis import FrameRecipe, rebuild, recipe_for
from restorekit.sources.collection import collect_photographs
from restorekit.sources.photo_index import Photograph, PhotoIndex, load_photograph


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root") / "photos"
    collect_photographs(PhotosConfig(), folder.parent, folder)
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Twelve scenes of 96 x 64 in the layout `plain`."""
    photographs = [astronaut(), chelsea(), coffee(), rocket()]
    for part in ("input", "target"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    for number in range(12):
        clean = photographs[number % 4][20 * number : 20 * number + 64, 40:136]
        degraded = np.clip(clean.astype(np.int16) + 20, 0, 255).astype(np.uint8)
        for part, image in (("input", degraded), ("target", clean)):
            data = encode_rgb(np.ascontiguousarray(image), "png")
            (tmp_path / "mine" / part / f"{number}.png").write_bytes(data)
    return tmp_path


def dataset(task: str, **changes: Any) -> Any:
    values = {
        "task": task, "short_side": 64, "long_side": 96, "severity": [0.3, 0.8],
        "train": {"variants": 2, "tiles": 2, "tile": 48, "shards": 2}, "val": {"variants": 2}, "test": {"variants": 3},
    }  # fmt: skip
    return TypeAdapter(AnyDataset).validate_python(values | changes)


def recipe(photos: Path, task: str, split: Any, **changes: Any) -> FrameRecipe:
    return recipe_for(task, dataset(task, **changes), split, 5, "png", PhotoIndex.open(photos))


def made(plan: Recipe, photos: Path, folder: Path) -> list[ShardSample]:
    for number in range(plan.num_shards):
        stage_shard(plan, number, folder, photos)
    finish(plan, folder, "photos")
    return list(iter_samples(folder / plan.split))


@pytest.mark.parametrize("task", ["rain", "haze", "reflection"])
def test_whole_frames_have_the_size_and_are_rebuilt_from_their_records(photos, tmp_path, task):
    samples = made(recipe(photos, task, "test"), photos, tmp_path)
    assert len(samples) == 2 * 3
    for sample in samples:
        assert sorted(sample.clean.shape[:2]) == [64, 96]
        again = rebuild(sample.record, PhotoIndex.open(photos))
        assert np.array_equal(np.rint(again.clean * 255), sample.clean)
    places = {tuple(sample.record["frame"]["window"][:2] + sample.record["frame"]["resized"]) for sample in samples}
    assert len(places) == len(samples)  # the frames of a photograph differ


def test_tiles_are_cut_from_frames_at_their_place(photos, tmp_path):
    plan = recipe(photos, "rain", "train")
    index = PhotoIndex.open(photos)
    for sample in made(plan, photos, tmp_path)[:6]:
        top, left, height, width = sample.record["tile"]
        frame = rebuild(sample.record, index)
        assert np.array_equal(np.rint(frame.clean[top : top + height, left : left + width] * 255), sample.clean)


def test_data_sets_without_a_long_side_are_whole_photographs(photos, tmp_path):
    samples = made(recipe(photos, "rain", "test", long_side=None), photos, tmp_path)
    assert {min(sample.clean.shape[:2]) for sample in samples} == {64}
    assert {sample.record["frame"] for sample in samples} == {None}


def photograph(width: int, height: int) -> Photograph:
    return Photograph("a", "a.png", width, height, "", 0, "", "", "train", "a")


@pytest.mark.parametrize("size", [(96, 64), (97, 65), (300, 64), (96, 500), (400, 400), (64, 96), (90, 700)])
def test_a_frame_lies_inside_its_photograph_at_a_scale_of_at_most_one(size):
    whole = photograph(*size)
    for number in range(50):
        drawn = draw_frame(rng_for(3, number), whole, 64, 96)
        (height, width), (top, left, rows, columns) = drawn["resized"], drawn["window"]
        assert (rows, columns) == ((64, 96) if whole.width >= whole.height else (96, 64))
        assert height <= whole.height
        assert width <= whole.width
        assert 0 <= top <= height - rows
        assert 0 <= left <= width - columns
        assert height / whole.height == pytest.approx(width / whole.width, rel=0.02)


@pytest.mark.parametrize("size", [(3000, 2000), (2000, 3000), (100, 80), (64, 64), (60, 50), (64, 500)])
def test_a_part_lies_inside_its_photograph_and_is_never_enlarged_by_the_zoom(size):
    whole = photograph(*size)
    least = 64 / min(size)
    drawn = [draw_part(rng_for(3, number), whole, 64, 4.0) for number in range(60)]
    scales = [one["resized"][0] / whole.height for one in drawn]
    assert max(scales) <= max(1.0, least) + 0.02
    assert max(scales) <= 4.02 * least
    if least < 0.25:
        assert max(scales) > 3.5 * least > 1.5 * least > min(scales)
    for one in drawn:
        (height, width), (top, left, rows, columns) = one["resized"], one["window"]
        assert min(rows, columns) == 64
        assert rows / columns == pytest.approx(whole.height / whole.width, rel=0.02)
        assert 0 <= top <= height - rows
        assert 0 <= left <= width - columns


def test_zoomed_training_frames_are_rebuilt_and_others_stay_whole(photos, tmp_path):
    train = {"variants": 3, "tiles": 2, "tile": 48, "shards": 2, "zoom": 4.0}
    changes = {"short_side": 64, "long_side": None, "train": train}
    samples = made(recipe(photos, "rain", "train", **changes), photos, tmp_path)
    index = PhotoIndex.open(photos)
    for sample in samples:
        top, left, height, width = sample.record["tile"]
        frame = rebuild(sample.record, index)
        assert np.array_equal(np.rint(frame.clean[top : top + height, left : left + width] * 255), sample.clean)
    assert len({sample.record["frame"]["resized"][0] for sample in samples}) > 3
    tested = made(recipe(photos, "rain", "test", **changes), photos, tmp_path / "test")
    assert {sample.record["frame"] for sample in tested} == {None}


def test_frames_with_a_long_side_have_no_zoom():
    with pytest.raises(ValidationError, match=r"leave out train\.zoom"):
        dataset("rain", train={"variants": 2, "tiles": 2, "tile": 48, "shards": 2, "zoom": 2.0})


def test_small_photographs_are_left_out_and_a_set_without_large_ones_is_an_error(photos):
    assert is_large_enough(photograph(64, 96), 64, 96)
    assert not is_large_enough(photograph(95, 96), 64, 97)
    index = PhotoIndex.open(photos)
    sides = {one.name: sorted((one.height, one.width)) for one in index.photographs("train")}
    plan = recipe(photos, "rain", "train", short_side=420, long_side=600)
    assert plan.large_enough is not None
    chosen = {index.photograph("train", number).name for number in plan.large_enough}
    assert chosen == {name for name, (short, long) in sides.items() if short >= 420 and long >= 600}
    assert 0 < len(chosen) < len(sides)
    with pytest.raises(RestorekitError, match=r"has 3840 x 2160 pixels: .*make photos-uhd"):
        recipe(photos, "rain", "train", short_side=2160, long_side=3840)


def test_each_scene_of_a_folder_is_in_exactly_one_split(photos, pairs, tmp_path):
    config = dataset("rain", pairs=[{"root": "mine"}])
    recipes = [
        recipe_for("rain", config, split, 5, "png", PhotoIndex.open(photos)) for split in ("train", "val", "test")
    ]
    seen: list[str] = []
    for plan in with_pairs(recipes, config, pairs):
        samples = made(plan, photos, tmp_path / "out")
        real = [sample for sample in samples if sample.record["kind"] == "real"]
        assert len(samples) - len(real) == len(made(plan.made, photos, tmp_path / "alone"))
        seen += sorted({sample.record["scene"] for sample in real})
        for sample in real:
            assert tuple(sample.record["tile"][2:]) == ((48, 48) if plan.split == "train" else (64, 96))
            assert (sample.degraded >= sample.clean).all()
    assert len(seen) == len(set(seen)) == 12
    assert len({key for plan in with_pairs(recipes, config, pairs) for key in keys(plan, photos)}) > 12


def keys(plan: JoinedRecipe, photos: Path) -> list[str]:
    return [key for shard in range(plan.num_shards) for key, _ in plan.samples(shard, photos)]


def test_reflections_without_a_layer_get_the_added_light_as_layer(photos, pairs, tmp_path):
    config = dataset("reflection", pairs=[{"root": "mine"}])
    plan = with_pairs([recipe_for("reflection", config, "train", 5, "png", PhotoIndex.open(photos))], config, pairs)[0]
    for sample in made(plan, photos, tmp_path / "out"):
        assert sample.layer is not None
        if sample.record["kind"] == "real":
            assert np.array_equal(sample.layer, sample.degraded - sample.clean)


def test_the_samples_do_not_depend_on_the_folder_of_the_pairs(photos, pairs, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").rename(tmp_path / "elsewhere" / "mine")
    digests = []
    for root in ("elsewhere/mine", str(tmp_path / "elsewhere" / "mine")):
        config = dataset("rain", pairs=[{"root": root}])
        plan = with_pairs([recipe_for("rain", config, "train", 5, "png", PhotoIndex.open(photos))], config, tmp_path)[0]
        digests.append(plan.digest_values()["pairs"])
    assert digests[0] == digests[1]


def test_pairs_smaller_than_a_tile_are_an_error(photos, pairs):
    config = dataset(
        "rain", pairs=[{"root": "mine"}], short_side=80, train={"variants": 1, "tiles": 1, "tile": 72, "shards": 1}
    )
    with pytest.raises(RestorekitError, match=r"12 pairs in .* are smaller than train.tile 72"):
        with_pairs([recipe_for("rain", config, "train", 5, "png", PhotoIndex.open(photos))], config, pairs)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"short_side": 100}, "long_side 96 is shorter"),
        ({"pairs": [{"root": "x", "layout": "plan"}]}, "unknown layout"),
        ({"pairs": [{"root": "x", "layout": "unpaired"}]}, "has no pairs"),
        ({"pairs": [{"root": "x", "layout": "real20"}]}, "has no pairs for the task rain"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        dataset("rain", **changes)


def test_a_frame_has_the_disparity_of_its_place(photos: Path, tmp_path: Path) -> None:
    index = PhotoIndex.open(photos)
    left = next(one for one in index.photographs("train") if one.name == "motorcycle_left")
    sample = next(
        s for s in made(recipe(photos, "haze", "train"), photos, tmp_path) if s.record["photograph"] == left.name
    )
    assert sample.transmission is not None
    assert load_photograph(photos, left).disparity is not None
