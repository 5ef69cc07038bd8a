"""Pairs that choose never judge or train, whatever the set is called, wherever it lies and however it is laid out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restorekit.config import RealSet, RealValidation
from restorekit.errors import RestorekitError
from restorekit.evaluation.test_sets import real_pairs
from restorekit.image import encode_rgb
from restorekit.rng import rng_for
from restorekit.sources.choosing import choosing_files, choosing_pairs, pairs_left
from restorekit.sources.real_pairs import RealPair, find_pairs

STEMS = ("1", "10", "2", "a", "a-1", "b", "c")  # sorted as stems; "a-1.png" is before "a.png"


def write_pairs(root: Path, stems: tuple[str, ...] = STEMS) -> Path:
    for folder in ("input", "target"):
        (root / folder).mkdir(parents=True)
        for stem in stems:
            image = rng_for(0, folder, stem).integers(0, 256, (20, 24, 3)).astype(np.uint8)
            (root / folder / f"{stem}.png").write_bytes(encode_rgb(image, "png"))
    return root


def config(root: Path | str, **values: Any) -> RealValidation:
    return RealValidation.model_validate({"task": "rain", "layout": "plain", "root": str(root), **values})


def judging(root: Path, layout: str = "plain") -> RealSet:
    return RealSet.model_validate({"task": "rain", "layout": layout, "root": str(root)})


def stems(pairs: tuple[RealPair, ...]) -> list[str]:
    return [Path(pair.input).stem for pair in pairs]


def test_stems_at_even_positions_choose_and_those_at_odd_positions_judge(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "set")
    chosen = choosing_pairs("own", config("set"), tmp_path)
    assert stems(chosen) == ["1", "2", "a-1", "c"]
    judges = real_pairs("other", judging(root), tmp_path, choosing_files({"own": config("set")}, tmp_path))
    assert [facts.key for facts in judges.facts()] == ["10", "a", "b"]
    assert [pair.facts.key for pair in judges.open()] == ["10", "a", "b"]
    assert judges.part is not None
    assert judges.part.num_pairs == 3


def test_the_first_pairs_choose(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "set")
    assert stems(choosing_pairs("own", config(root, first=3), tmp_path)) == ["1", "10", "2"]
    with pytest.raises(RestorekitError, match=r"real\.validate\.own: first: 8 is more than the 7 pairs"):
        choosing_pairs("own", config(root, first=8), tmp_path)


def test_images_of_one_scene_stay_together(tmp_path: Path) -> None:
    """Two rainy images for each of eight clean ones: four scenes choose with both of their images."""
    for number in range(1, 9):
        for name in (f"ground_truth/{number}.jpg", f"rainy_image/{number}_1.jpg", f"rainy_image/{number}_2.jpg"):
            image = rng_for(0, name).integers(0, 256, (20, 24, 3)).astype(np.uint8)
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(encode_rgb(image, "png"))
    form = config(tmp_path, layout="rain1400-train", pairs=16)
    assert stems(choosing_pairs("own", form, tmp_path)) == [f"{scene}_{n}" for scene in (1, 3, 5, 7) for n in (1, 2)]
    found = find_pairs("own", tmp_path, form.layout, 16)
    left = pairs_left("own", found, choosing_files({"own": form}, tmp_path))
    assert {pair.scene for pair in left} == {"2", "4", "6", "8"}
    one = choosing_files({"own": config(tmp_path, layout="rain1400-train", pairs=16, first=1)}, tmp_path)
    assert len(pairs_left("own", found, one)) == 14  # the other image of the clean one is left out, too


def test_a_copy_under_another_name_brings_no_pair_back(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "set")
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "link").symlink_to(root)
    for folder in ("input", "target"):
        for file in (tmp_path / "copy" / folder).iterdir():
            file.rename(file.with_name(f"other-{file.name}"))
    chosen = choosing_files({"own": config(root)}, tmp_path)
    assert [facts.key for facts in real_pairs("x", judging(tmp_path / "link"), tmp_path, chosen).facts()] == [
        "10", "a", "b",
    ]  # fmt: skip
    assert [facts.key for facts in real_pairs("x", judging(tmp_path / "copy"), tmp_path, chosen).facts()] == [
        "other-10", "other-a", "other-b",
    ]  # fmt: skip


def test_a_set_of_few_scenes_only_judges(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "set", STEMS[:5])
    with pytest.raises(RestorekitError, match=r"real\.validate\.own: 5 scenes are too few .*real\.evaluate alone"):
        choosing_pairs("own", config(root), tmp_path)


def test_a_set_that_has_no_pair_left_is_named(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "set")
    chosen = choosing_files({"own": config(root, first=7)}, tmp_path)
    with pytest.raises(RestorekitError, match=r"real\.evaluate\.x: all of its 7 pairs choose"):
        real_pairs("x", judging(root), tmp_path, chosen)
