"""Shards of real pairs: unchanged pixels, tiles and whole images, no scene in two splits, the same bytes every time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restorekit.config import RealTraining
from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb
from restorekit.rng import rng_for
from restorekit.shards.reader import ShardSample, iter_samples
from restorekit.shards.real_shards import PairRecipe, pair_recipes
from restorekit.shards.staging import finish, stage_shard
from restorekit.sources.real_pairs import find_pairs, load_pair, pairs_digest

NUM_SCENES = 8


def write_set(root: Path, size: tuple[int, int] = (47, 41)) -> Path:
    """Writes pairs as in Rain1400: two rainy images for every clean image."""
    for number in range(1, NUM_SCENES + 1):
        for name in (f"ground_truth/{number}.jpg", f"rainy_image/{number}_1.jpg", f"rainy_image/{number}_2.jpg"):
            image = rng_for(0, name).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(encode_rgb(image, "png"))  # the bytes of a file decide, not its name
    return root


def config(**values: Any) -> RealTraining:
    given = {
        "task": "rain", "layout": "rain1400-train", "root": "x", "train": {"tiles": 3, "tile": 32, "shards": 2},
        "val": {"share": 0.3},
    }  # fmt: skip
    return RealTraining.model_validate(given | values)


def recipes_of(folder: Path, seed: int = 1, **values: Any) -> list[PairRecipe]:
    form = config(**values)
    return pair_recipes("rain-1400", form, seed, "png", find_pairs("real", folder, form.layout, 2 * NUM_SCENES))


def made(recipe: PairRecipe, root: Path, folder: Path) -> list[ShardSample]:
    for number in range(recipe.num_shards):
        stage_shard(recipe, number, folder, root)
    finish(recipe, folder, pairs_digest(recipe.pairs))
    return list(iter_samples(folder / recipe.split))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("rain1400"))


def test_masks_are_cut_with_their_pairs(tmp_path: Path) -> None:
    for number in range(4):
        for folder, value in (("photo", 90 + number), ("mask", 0)):
            image = np.full((41, 47, 3), value, np.uint8)
            if folder == "mask":
                image[number : 20 + number, :30] = 255
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / folder / f"{number}.png").write_bytes(encode_rgb(image, "png"))
    form = config(task="inpainting", layout="masked")
    pairs = find_pairs("real", tmp_path / "set", form.layout)
    for recipe in pair_recipes("inpainting-mine", form, 1, "png", pairs):
        for sample in made(recipe, tmp_path / "set", tmp_path / "shards"):
            assert set(np.unique(sample.mask)) == {0, 255}
            np.testing.assert_array_equal(sample.degraded[..., 0] == 128, sample.mask == 255)
            assert len(np.unique(sample.clean)) == 1
    with pytest.raises(ValueError, match="layout 'masked' has"):
        config(task="inpainting", layout="plain")


def test_samples_are_windows_of_their_pairs(root: Path, tmp_path: Path) -> None:
    train, val = recipes_of(root)
    tiles, whole = made(train, root, tmp_path), made(val, root, tmp_path)
    assert len(tiles) == 3 * len(train.pairs)
    assert len(whole) == len(val.pairs)
    pairs = {pair.input: pair for pair in (*train.pairs, *val.pairs)}
    for sample in (*tiles, *whole):
        loaded = load_pair(root, pairs[sample.record["input"]])
        top, left, height, width = sample.record["tile"]
        window = np.s_[top : top + height, left : left + width]
        np.testing.assert_array_equal(sample.degraded, loaded.degraded[window])
        np.testing.assert_array_equal(sample.clean, loaded.clean[window])
    assert {sample.clean.shape for sample in tiles} == {(32, 32, 3)}
    assert {sample.clean.shape for sample in whole} == {(41, 47, 3)}


def test_variants_of_a_scene_are_in_one_split(root: Path) -> None:
    train, val = recipes_of(root)
    assert {pair.scene for pair in train.pairs} & {pair.scene for pair in val.pairs} == set()
    assert len(train.pairs) + len(val.pairs) == 2 * NUM_SCENES
    assert len(val.pairs) % 2 == 0
    assert train.pairs != tuple(sorted(train.pairs, key=lambda pair: pair.input))  # a shard holds several scenes


@pytest.mark.parametrize("share", [1e-6, 0.5, 1 - 1e-6])
def test_both_splits_have_scenes_for_any_share(root: Path, share: float) -> None:
    assert all(
        recipe.pairs
        for recipe in recipes_of(root, val={"share": share}, train={**config().train.model_dump(), "shards": 1})
    )


def test_equal_clean_images_under_two_names_stay_together(root: Path, tmp_path: Path) -> None:
    own = write_set(tmp_path / "own")
    for number in range(2, NUM_SCENES):
        (own / f"ground_truth/{number}.jpg").write_bytes((own / "ground_truth/1.jpg").read_bytes())
    train, val = recipes_of(own)
    assert {p.target_sha256 for p in train.pairs} & {p.target_sha256 for p in val.pairs} == set()
    (own / f"ground_truth/{NUM_SCENES}.jpg").write_bytes((own / "ground_truth/1.jpg").read_bytes())
    with pytest.raises(RestorekitError, match=r"real\.train\.rain-1400: 1 clean image for 16 pairs"):
        recipes_of(own)


def test_the_bytes_do_not_depend_on_the_folder_or_the_order_of_writing(root: Path, tmp_path: Path) -> None:
    elsewhere = write_set(tmp_path / "moved")
    train, other = recipes_of(root)[0], recipes_of(elsewhere, root=str(elsewhere))[0]
    assert train.digest_values() == other.digest_values()
    forwards = [stage_shard(train, number, tmp_path / "a", root) for number in (0, 1)]
    backwards = [stage_shard(other, number, tmp_path / "b", elsewhere) for number in (1, 0)]
    assert forwards == backwards[::-1]
    assert recipes_of(root, seed=2)[0].digest_values() != train.digest_values()
    assert [stage_shard(recipes_of(root, seed=2)[0], 0, tmp_path / "c", root)] != forwards[:1]


def test_samples_for_reflection_keep_the_layers_of_triplets(tmp_path: Path) -> None:
    for number in range(3):
        for role in ("input", "label1", "label2"):
            image = rng_for(1, role, number).integers(0, 256, (40, 40, 3)).astype(np.uint8)
            (tmp_path / f"{number}-{role}.png").write_bytes(encode_rgb(image, "png"))
    form = config(task="reflection", layout="ceilnet", train={"tiles": 1, "tile": 32, "shards": 1})
    train, _ = pair_recipes("reflection-c", form, 1, "webp", find_pairs("real", tmp_path, "ceilnet", 3))
    for sample in made(train, tmp_path, tmp_path / "out"):
        top, left, height, width = sample.record["tile"]
        pair = next(pair for pair in train.pairs if pair.input == sample.record["input"])
        layer = load_pair(tmp_path, pair).layer
        assert layer is not None
        np.testing.assert_array_equal(sample.layer, layer[top : top + height, left : left + width])


def test_errors_of_impossible_settings_have_the_numbers(root: Path) -> None:
    with pytest.raises(
        RestorekitError, match=r"smaller than train\.tile 48: 16, such as rainy_image/1_1\.jpg \(47 x 41\)"
    ):
        recipes_of(root, train={"tiles": 1, "tile": 48, "shards": 1})
    with pytest.raises(RestorekitError, match=r"real\.train\.rain-1400\.train: \d+ pairs for 99 shards"):
        recipes_of(root, train={"tiles": 1, "tile": 32, "shards": 99})
