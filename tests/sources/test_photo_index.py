"""The index of photographs: what is saved is found again, and edits are noticed."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.files import read_json, sha256_file, write_json
from restorekit.rng import rng_for
from restorekit.sources import Photograph, PhotoIndex, PhotoManifest, load_photograph
from restorekit.sources.photo_index import save_photographs


def photograph(folder: Path, name: str, split: str = "train", scene: str | None = None) -> Photograph:
    path = folder / f"{name}.png"
    Image.fromarray(rng_for(0, name).integers(0, 256, (37, 31, 3), dtype=np.uint8)).save(path)
    digest = sha256_file(path)
    return Photograph(name, path.name, 31, 37, digest, path.stat().st_size, "CC0-1.0", "made", split, scene or name)


def entry(name: str, split: str = "train", scene: str | None = None) -> Photograph:
    """An entry without a file."""
    return Photograph(name, f"{name}.png", 31, 37, name, 9, "CC0-1.0", "made: été 写真", split, scene or name)


def test_what_is_saved_is_loaded(tmp_path):
    manifest = PhotoManifest((photograph(tmp_path, "a"), photograph(tmp_path, "b", "test")))
    manifest.save(tmp_path)
    loaded = PhotoManifest.load(tmp_path)
    assert loaded == manifest
    assert loaded.digest == manifest.digest
    assert [p.name for p in loaded.split("test")] == ["b"]
    assert loaded.split("val") == ()


def test_the_digest_depends_on_content_and_split_and_not_on_order_or_texts(tmp_path):
    a, b = photograph(tmp_path, "a"), photograph(tmp_path, "b")
    digest = PhotoManifest((a, b)).digest
    assert PhotoManifest((b, a)).digest == digest
    assert PhotoManifest((replace(a, license="other", source="elsewhere"), b)).digest == digest
    assert PhotoManifest((replace(a, split="val"), b)).digest != digest
    assert PhotoManifest((replace(a, sha256="0" * 64), b)).digest != digest
    assert PhotoManifest((a,)).digest != digest


def test_a_scene_in_two_splits_and_a_name_twice_are_refused(tmp_path):
    a, b = photograph(tmp_path, "a", scene="one"), photograph(tmp_path, "b", "test", scene="one")
    with pytest.raises(RestorekitError, match="two splits"):
        PhotoManifest((a, b))
    with pytest.raises(RestorekitError, match="named 'a'"):
        PhotoManifest((a, a))
    for wrong in ((entry("b"), entry("a")), (entry("a"), entry("a"))):
        with pytest.raises(ValueError, match="'a' is out of order"):
            save_photographs(tmp_path, wrong)
    assert not list(tmp_path.glob("*manifest*"))


def test_an_unknown_split_is_named(tmp_path):
    manifest = PhotoManifest((photograph(tmp_path, "a"),))
    manifest.save(tmp_path)
    for split in (manifest.split, PhotoIndex.open(tmp_path).count):
        with pytest.raises(RestorekitError, match="did you mean 'train'"):
            split("trian")


def test_single_entries_are_read_by_number_scene_and_name(tmp_path):
    views = [entry(f"{scene}-{view}", "train", scene) for scene in ("b", "a", "aa") for view in (2, 1)]
    manifest = PhotoManifest((*views, entry("z", "val"), entry("y", "test"), entry("x", "test")))
    manifest.save(tmp_path)
    index = PhotoIndex.open(tmp_path)
    index.verify()
    assert index.digest == manifest.digest
    assert [index.count(split) for split in ("train", "val", "test")] == [6, 1, 2]
    names = ["a-1", "a-2", "aa-1", "aa-2", "b-1", "b-2"]
    assert [index.photograph("train", number).name for number in range(6)] == names
    assert [photo.name for photo in index.photographs("train", 1, 4)] == names[1:4]
    assert [photo.name for photo in index.photographs("test")] == ["x", "y"]
    assert [index.of_scene("train", scene) for scene in ("a", "aa", "b")] == [range(2), range(2, 4), range(4, 6)]
    for one in manifest.photographs:
        assert index.find(one.split, one.scene, one.name) == one
    for split, scene, name in (("train", "a", "a-3"), ("train", "c", "c"), ("val", "x", "x")):
        with pytest.raises(RestorekitError, match=f"no photograph '{name}'"):
            index.find(split, scene, name)


def test_a_missing_damaged_or_changed_manifest_says_what_to_run(tmp_path):
    with pytest.raises(RestorekitError, match="dvc repro photos"):
        PhotoManifest.load(tmp_path)
    PhotoManifest((photograph(tmp_path, "a"),)).save(tmp_path)
    path = tmp_path / "manifest.json"
    value = read_json(path, "manifest", "")
    wrong = [
        {**value, "format": 1},
        {"format": 3, "photographs": 3},
        [value],
        {**value, "photographs": {"train": 2, "val": 0, "test": 0}},
        {**value, "photographs": {"train": 0, "val": 0, "test": 1}},
        {**value, "digest": "0"},
    ]
    for changed in wrong:
        write_json(path, changed)
        with pytest.raises(RestorekitError, match="dvc repro photos"):
            PhotoManifest.load(tmp_path)
    path.write_text("{")
    with pytest.raises(RestorekitError, match="dvc repro photos"):
        PhotoManifest.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE photographs SET split = 'test'",
        "UPDATE photographs SET license = 'mine'",
        "ALTER TABLE photographs ADD COLUMN colour",
        "DROP TABLE photographs",
    ],
)
def test_a_changed_table_is_noticed(tmp_path, change):
    PhotoManifest((entry("a"),)).save(tmp_path)
    table = tmp_path / "photographs.sqlite"
    with closing(sqlite3.connect(table)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(RestorekitError, match="dvc repro photos"):
        PhotoManifest.load(tmp_path)
    table.write_bytes(b"no table" * 600)
    with pytest.raises(RestorekitError, match=r"photographs\.sqlite cannot be read .*dvc repro photos"):
        PhotoIndex.open(tmp_path)
    table.unlink()
    with pytest.raises(RestorekitError, match="dvc repro photos"):
        PhotoIndex.open(tmp_path)


def test_a_manifest_of_an_older_format_says_what_to_run(tmp_path):
    (tmp_path / "photographs.jsonl").write_text("{}\n")
    write_json(tmp_path / "manifest.json", {"format": 2, "digest": "0", "photographs": {}, "lines_sha256": "0"})
    with pytest.raises(RestorekitError, match=r"of format 2, this version reads 3: run `dvc repro photos`"):
        PhotoIndex.open(tmp_path)


def test_equal_photographs_give_equal_bytes(tmp_path):
    photographs = [entry(f"{number:03}", "train") for number in range(300)]
    for folder in (tmp_path / "a", tmp_path / "b"):
        PhotoManifest(tuple(photographs)).save(folder)
        assert {file.name for file in folder.iterdir()} == {"manifest.json", "photographs.sqlite"}
        photographs.reverse()
    for name in ("manifest.json", "photographs.sqlite"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_table_in_a_folder_of_any_name_is_read(tmp_path):
    folder = tmp_path / "été ?#% photos"
    PhotoManifest((entry("a"),)).save(folder)
    assert PhotoIndex.open(folder).photograph("train", 0) == entry("a")


def test_a_changed_or_missing_photograph_is_not_loaded(tmp_path):
    known = photograph(tmp_path, "a")
    assert load_photograph(tmp_path, known).pixels.shape == (37, 31, 3)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"x")
    with pytest.raises(RestorekitError, match="not the one of the manifest"):
        load_photograph(tmp_path, known)
    (tmp_path / "a.png").unlink()
    with pytest.raises(RestorekitError, match="dvc repro photos"):
        load_photograph(tmp_path, known)
