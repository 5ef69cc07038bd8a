"""The manifest of photographs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.files import read_json, sha256_file, write_json
from restorekit.rng import rng_for
from restorekit.sources import Photograph, PhotoManifest, load_photograph


def photograph(folder: Path, name: str, split: str = "train", scene: str | None = None) -> Photograph:
    path = folder / f"{name}.png"
    Image.fromarray(rng_for(0, name).integers(0, 256, (37, 31, 3), dtype=np.uint8)).save(path)
    digest = sha256_file(path)
    return Photograph(name, path.name, 31, 37, digest, path.stat().st_size, "CC0-1.0", "made", split, scene or name)


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


def test_an_unknown_split_is_named(tmp_path):
    with pytest.raises(RestorekitError, match="did you mean 'train'"):
        PhotoManifest((photograph(tmp_path, "a"),)).split("trian")


def test_a_missing_damaged_or_changed_manifest_says_what_to_run(tmp_path):
    with pytest.raises(RestorekitError, match=r"pipelines\.photos"):
        PhotoManifest.load(tmp_path)
    PhotoManifest((photograph(tmp_path, "a"),)).save(tmp_path)
    path = tmp_path / "manifest.json"
    value = read_json(path, "manifest", "")
    wrong = [
        {**value, "format": 2},
        {"photographs": 3},
        {**value, "photographs": [{**value["photographs"][0], "colour": "red"}]},
        {**value, "photographs": [{**value["photographs"][0], "split": "test"}]},
    ]
    for changed in wrong:
        write_json(path, changed)
        with pytest.raises(RestorekitError, match=r"pipelines\.photos"):
            PhotoManifest.load(tmp_path)
    path.write_text("{")
    with pytest.raises(RestorekitError, match=r"pipelines\.photos"):
        PhotoManifest.load(tmp_path)


def test_a_changed_or_missing_photograph_is_not_loaded(tmp_path):
    known = photograph(tmp_path, "a")
    assert load_photograph(tmp_path, known).pixels.shape == (37, 31, 3)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"x")
    with pytest.raises(RestorekitError, match="not the one of the manifest"):
        load_photograph(tmp_path, known)
    (tmp_path / "a.png").unlink()
    with pytest.raises(RestorekitError, match=r"pipelines\.photos"):
        load_photograph(tmp_path, known)
