"""The photographs in the installed packages."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from restorekit.config import PhotosConfig
from restorekit.sources import SPLITS, PhotoManifest, collect_photographs, load_photograph
from restorekit.sources.packages import EMBEDDED


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root") / "data" / "photos"
    collect_photographs(PhotosConfig(), folder.parent, folder)
    return folder


def test_seven_scenes_in_a_fixed_split(photos):
    manifest = PhotoManifest.load(photos)
    scenes = {split: {photograph.scene for photograph in manifest.split(split)} for split in SPLITS}
    assert scenes == {
        "train": {"astronaut", "motorcycle", "china", "flower"},
        "val": {"coffee"},
        "test": {"rocket", "chelsea"},
    }
    assert len(manifest.photographs) == 8  # the motorcycle twice
    assert not any(scenes[a] & scenes[b] for a in SPLITS for b in SPLITS if a != b)


def test_every_photograph_names_a_licence_and_a_source(photos):
    manifest = PhotoManifest.load(photos)
    licences = {photograph.name: photograph.license for photograph in manifest.photographs}
    assert licences["china"] == licences["flower"] == "CC-BY-2.0"
    assert all(photograph.source for photograph in manifest.photographs)
    assert all(photograph.license in ("public domain", "CC0-1.0") for photograph in manifest.split("test"))


def test_the_licences_are_those_of_the_packages_own_texts():
    import skimage
    import sklearn

    stated = (Path(sklearn.__file__).parent / "datasets/images/README.txt").read_text()
    assert "creativecommons.org/licenses/by/2.0/" in stated
    assert "photos/danielbuechele/6061409035" in stated
    assert "photos/vultilion/6056698931" in stated
    code = (Path(skimage.__file__).parent / "data/_fetchers.py").read_text()
    for name, claim in {
        "astronaut": "released into the public domain",
        "chelsea": "CC0 by the photographer (Stefan van der Walt)",
        "coffee": "CC0 by the photographer (Rachel Michetti)",
        "rocket": "public domain",
    }.items():
        assert claim in code.split(f"def {name}()")[1].split('"""')[1], name


def test_photographs_are_whole_and_of_the_stated_size(photos):
    manifest = PhotoManifest.load(photos)
    for photograph in manifest.photographs:
        loaded = load_photograph(photos, photograph)
        assert loaded.pixels.shape == (photograph.height, photograph.width, 3)
        assert loaded.pixels.dtype == np.uint8
        assert (photos / photograph.file).stat().st_size == photograph.bytes


def test_the_motorcycle_has_its_disparity(photos):
    by_name = {photograph.name: photograph for photograph in PhotoManifest.load(photos).photographs}
    loaded = load_photograph(photos, by_name["motorcycle_left"])
    assert loaded.disparity is not None
    assert loaded.disparity.dtype == np.float32
    assert loaded.disparity.shape == loaded.pixels.shape[:2]
    known = np.isfinite(loaded.disparity)
    assert 0.8 < known.mean() < 1.0
    assert not np.isinf(loaded.disparity).any()
    assert loaded.disparity[known].min() > 0
    # Larger is nearer: a pixel of the left view is `disparity` columns to the right of the right view's.
    right = load_photograph(photos, by_name["motorcycle_right"]).pixels.astype(int)
    rows, columns = np.nonzero(known)
    shifted = columns - np.rint(loaded.disparity[known]).astype(int)
    inside = shifted >= 0
    rows, columns, shifted = rows[inside], columns[inside], shifted[inside]
    matched = np.abs(loaded.pixels[rows, columns].astype(int) - right[rows, shifted]).mean()
    unmatched = np.abs(loaded.pixels[rows, columns].astype(int) - right[rows, columns]).mean()
    assert matched < unmatched / 3
    assert all(p.disparity is None for name, p in by_name.items() if name != "motorcycle_left")


def test_nothing_is_fetched_and_no_package_is_imported(tmp_path):
    code = """
import socket, sys
from pathlib import Path
def refuse(*args, **kwargs):
    raise AssertionError("network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from restorekit.config import PhotosConfig
from restorekit.sources import collect_photographs
collect_photographs(PhotosConfig(), Path("."), Path("photos"))
loaded = {"skimage", "sklearn", "pooch", "torch", "ray", "mlflow"} & set(sys.modules)
assert not loaded, loaded
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    # Eight photographs, a disparity, the table and its header.
    assert len(list((tmp_path / "photos").iterdir())) == 11


def test_names_and_scenes_are_unique():
    assert len({embedded.name for embedded in EMBEDDED}) == len(EMBEDDED)
    assert all(not embedded.path.startswith("/") for embedded in EMBEDDED)
