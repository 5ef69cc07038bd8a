"""The collection of the user's own photographs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.config import PhotosConfig, Split
from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.rng import rng_for
from restorekit.sources import PhotoManifest, collect_photographs, load_photograph
from restorekit.sources.photo_index import split_of


def fill(folder: Path, count: int, first: int = 0, side: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        image = rng_for(0, "photo", number).integers(0, 256, (side, side + 9, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


def config(*folders: object, packages: bool = False, **values: object) -> PhotosConfig:
    return PhotosConfig(packages=packages, folders=folders, **{"min_side": 32, "license": "all mine", **values})


def splits(manifest: PhotoManifest) -> dict[str, str]:
    return {photograph.name: photograph.split for photograph in manifest.photographs}


def test_files_are_copied_as_they_are_and_named_by_content(tmp_path):
    fill(tmp_path / "mine" / "2024", 30)
    collection = collect_photographs(config("mine"), tmp_path, tmp_path / "photos")
    manifest = PhotoManifest.load(tmp_path / "photos")
    assert manifest == collection.manifest
    assert len(manifest.photographs) == 30
    for photograph in manifest.photographs:
        copy, original = tmp_path / "photos" / photograph.file, tmp_path / "mine" / photograph.source
        assert copy.read_bytes() == original.read_bytes()
        assert photograph.sha256.startswith(photograph.name)
        assert photograph.license == "all mine"
        assert load_photograph(tmp_path / "photos", photograph).pixels.shape == (40, 49, 3)


def test_a_split_stays_when_photographs_are_added_renamed_or_moved(tmp_path):
    fill(tmp_path / "mine", 30)
    before = splits(collect_photographs(config("mine"), tmp_path, tmp_path / "photos").manifest)
    fill(tmp_path / "mine" / "more", 20, first=30)
    (tmp_path / "mine" / "000.png").rename(tmp_path / "mine" / "zzz.png")
    (tmp_path / "other").mkdir()
    (tmp_path / "mine" / "001.png").rename(tmp_path / "other" / "001.png")
    after = splits(collect_photographs(config("other", "mine"), tmp_path, tmp_path / "photos").manifest)
    assert len(after) == 50
    assert {name: after[name] for name in before} == before


def test_the_same_photographs_give_the_same_manifest_bytes(tmp_path):
    fill(tmp_path / "mine", 30)
    for name in ("one", "two"):
        collect_photographs(config("mine"), tmp_path, tmp_path / name)
    assert (tmp_path / "one/manifest.json").read_bytes() == (tmp_path / "two/manifest.json").read_bytes()


def test_shares_are_met(tmp_path):
    digests = [f"{number:064x}" for number in range(4000)]
    found = [split_of(digest, Split(train=0.7, val=0.1, test=0.2)) for digest in digests]
    assert found.count("train") / 4000 == pytest.approx(0.7, abs=0.03)
    assert found.count("val") / 4000 == pytest.approx(0.1, abs=0.03)
    assert {split_of(digest, Split(train=1.0, val=0.0, test=0.0)) for digest in digests} == {"train"}


def test_exact_duplicates_count_once(tmp_path):
    fill(tmp_path / "mine", 30)
    shutil.copy(tmp_path / "mine/003.png", tmp_path / "mine/again.png")
    shutil.copytree(tmp_path / "mine", tmp_path / "mine/backup")
    collection = collect_photographs(config("mine", "mine"), tmp_path, tmp_path / "photos")
    assert len(collection.manifest.photographs) == 30
    assert collection.left_out == ()


def test_a_copy_of_an_embedded_photograph_cannot_come_into_another_split(tmp_path):
    collect_photographs(PhotosConfig(), tmp_path, tmp_path / "embedded")
    with_folder = PhotosConfig(folders=("embedded",))
    collection = collect_photographs(with_folder, tmp_path, tmp_path / "photos")
    assert collection.manifest == PhotoManifest.load(tmp_path / "embedded")


def test_unreadable_and_small_files_are_left_out_by_name(tmp_path):
    mine = fill(tmp_path / "mine", 30)
    (mine / "broken.jpg").write_bytes(b"no photo")
    cut = (mine / "000.png").read_bytes()
    (mine / "cut.png").write_bytes(cut[: len(cut) // 2])
    fill(mine, 1, first=100, side=20)
    (mine / "notes.txt").write_text("not looked at")
    (mine / ".hidden.jpg").write_bytes(b"not looked at")
    collection = collect_photographs(config("mine"), tmp_path, tmp_path / "photos")
    assert len(collection.manifest.photographs) == 30
    assert len(collection.left_out) == 3
    for name in ("broken.jpg", "cut.png", "100.png"):
        assert sum(name in reason for reason in collection.left_out) == 1
    assert "3 left out" in collection.summary()


def test_the_output_folder_is_never_taken_for_a_source(tmp_path):
    fill(tmp_path / "mine", 30)
    first = collect_photographs(config("."), tmp_path, tmp_path / "data/photos")
    second = collect_photographs(config("."), tmp_path, tmp_path / "data/photos")
    assert first.manifest == second.manifest


def test_photographs_are_upright_in_the_manifest(tmp_path):
    fill(tmp_path / "mine", 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "mine/turned.jpg", exif=exif)
    manifest = collect_photographs(config("mine"), tmp_path, tmp_path / "photos").manifest
    turned = next(photograph for photograph in manifest.photographs if photograph.source == "turned.jpg")
    assert (turned.width, turned.height) == (40, 60)
    assert load_photograph(tmp_path / "photos", turned).pixels.shape == (60, 40, 3)


def test_nothing_usable_is_an_error_and_the_old_photographs_stay(tmp_path):
    fill(tmp_path / "mine", 30)
    collect_photographs(config("mine"), tmp_path, tmp_path / "photos")
    before = {path.name: sha256_file(path) for path in (tmp_path / "photos").iterdir()}
    (tmp_path / "bad").mkdir()
    with pytest.raises(RestorekitError, match=r"no JPEG, PNG, WebP or TIFF file in photos\.folders"):
        collect_photographs(config("bad"), tmp_path, tmp_path / "photos")
    (tmp_path / "bad/a.jpg").write_bytes(b"no photo")
    with pytest.raises(RestorekitError, match=r"none of the 1 files .*\n.*a\.jpg"):
        collect_photographs(config("bad", packages=True), tmp_path, tmp_path / "photos")
    with pytest.raises(RestorekitError, match="no folder at"):
        collect_photographs(config("missing"), tmp_path, tmp_path / "photos")
    assert {path.name: sha256_file(path) for path in (tmp_path / "photos").iterdir()} == before
    assert not list(tmp_path.glob(".*"))


def test_an_empty_split_says_what_to_add(tmp_path):
    fill(tmp_path / "mine", 2)
    with pytest.raises(RestorekitError, match=r"none is for .*photos\.folders.*photos\.packages: true"):
        collect_photographs(config("mine"), tmp_path, tmp_path / "photos")
    with pytest.raises(RestorekitError, match=r"of 0 photographs"):
        collect_photographs(config(), tmp_path, tmp_path / "photos")
    with pytest.raises(RestorekitError, match=r"lower photos\.min_side"):
        collect_photographs(PhotosConfig(min_side=420), tmp_path, tmp_path / "photos")
    assert collect_photographs(config("mine", packages=True), tmp_path, tmp_path / "photos").manifest.split("val")


def test_small_embedded_photographs_are_left_out_with_their_files(tmp_path):
    collection = collect_photographs(PhotosConfig(min_side=301), tmp_path, tmp_path / "photos")
    assert "chelsea" not in splits(collection.manifest)
    assert any("chelsea" in reason for reason in collection.left_out)
    assert not (tmp_path / "photos/chelsea.png").exists()


def test_a_public_set_is_taken_by_its_layout_and_must_be_whole(tmp_path):
    fill(tmp_path / "paris/paris_train_original", 30)
    fill(tmp_path / "paris/paris_eval_corrupted", 3, first=50)
    folder = {"root": "paris", "layout": "paris-train"}
    with pytest.raises(RestorekitError, match=r"'paris-train' in .*: 30, expected are 14900: .*photographs: 30"):
        collect_photographs(config(folder), tmp_path, tmp_path / "photos")
    whole = folder | {"photographs": 30}
    collection = collect_photographs(config(whole), tmp_path, tmp_path / "photos")
    assert len(collection.manifest.photographs) == 30
    assert all(p.source.startswith("paris_train_original/") for p in collection.manifest.photographs)
    with pytest.raises(RestorekitError, match=r"'celeba' in .*: 0, expected"):
        collect_photographs(config(folder | {"layout": "celeba"}), tmp_path, tmp_path / "photos")
