"""Free photographs: licences read from Debian's files, what may be taken, and how it comes into the manifest."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.config import PhotosConfig
from restorekit.errors import RestorekitError
from restorekit.sources import collect_photographs
from restorekit.sources.free import Package, copy_free, gather_free
from restorekit.sources.licences import LICENCES, Licence, debian_licences, licence_of, read_licences

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: pictures

Files: *
Copyright: 2016, The packagers
License: GPL-2+

Files: 16.04/ridge.jpg
       16.04/bowl.png
Copyright: 2018, Ada L.
           2019-2020 "Grace"
License: CC-BY-4.0

Files: 16.04/shared.jpg
Copyright: 2018, Somebody
License: CC-BY-SA-4.0

Files: debian/*
Copyright: 2016, The packagers
License: CC0-1.0
"""


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (300, 320, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("CC0-1.0", True), ("CC-BY-4.0", True), ("CC-BY-2.0", True), ("public domain", True), ("CC-BY-SA-4.0", False),
        ("CC-BY-NC-4.0", False), ("CC-BY-ND-4.0", False), ("GPL-2+", False), ("no licence stated", False),
    ],
)  # fmt: skip
def test_only_licences_without_conditions_on_the_weights_are_free(name: str, free: bool) -> None:
    assert Licence(license=name).is_free is free


def test_a_debian_file_names_the_licence_of_a_moved_picture() -> None:
    licences = debian_licences(COPYRIGHT)
    ridge = licence_of("usr/share/backgrounds/ridge.jpg", licences)
    assert ridge == Licence(license="CC-BY-4.0", author="Ada L, Grace")
    shared, other = (licence_of(f"usr/share/backgrounds/{name}.jpg", licences) for name in ("shared", "other"))
    assert [one.license for one in (shared, other) if one is not None] == ["CC-BY-SA-4.0", "GPL-2+"]


def test_only_free_photographs_of_a_package_are_copied(tmp_path: Path) -> None:
    content, folder = tmp_path / "content", tmp_path / "free"
    for index, name in enumerate(("ridge.jpg", "bowl.png", "shared.jpg", "other.jpg")):
        save(content / "usr/share/backgrounds" / name, index)
    stated = content / "usr/share/doc/pictures/copyright"
    stated.parent.mkdir(parents=True)
    stated.write_text(COPYRIGHT)
    folder.mkdir()
    found = dict(copy_free(content, Package("pictures"), folder))
    assert sorted(found) == sorted(file.name for file in folder.iterdir()) == ["bowl.png", "ridge.jpg"]
    assert found["bowl.png"].credit == "Ada L, Grace, Debian package pictures"
    stated.unlink()
    with pytest.raises(RestorekitError, match="states no licences"):
        dict(copy_free(content, Package("pictures"), folder))


def test_a_folder_of_the_sources_is_found_below_another_and_the_unwanted_left_out(tmp_path: Path) -> None:
    """The package installs land/ and ui/ below a folder of its own; fog and names with an author are not wanted."""
    content, folder = tmp_path / "content", tmp_path / "free"
    for seed, name in enumerate(("land/city1.jpg", "land/fog1.jpg", "land/city10-ada.jpg", "ui/button.png")):
        save(content / "usr/share/games/the-sky/images" / name, seed)
    stated = content / "usr/share/doc/sky/copyright"
    stated.parent.mkdir(parents=True)
    stated.write_text("Files: images/*\nLicense: CC0-1.0\nCopyright: 2018, Ada L.\n")
    folder.mkdir()
    package = Package("sky", "*/images/land/*", ("*/land/*-*", "*/fog*"))
    found = dict(copy_free(content, package, folder))
    assert found == {"city1.jpg": Licence(license="CC0-1.0", author="Ada L", source="Debian package sky")}


def test_without_debian_the_installed_packages_give_theirs(tmp_path: Path) -> None:
    gathered = gather_free(tmp_path / "free", (Package("no-such-package-here"),))
    stated = read_licences(tmp_path / "free")
    assert len(gathered.left_out) == 1
    assert gathered.counts == {"Python packages": len(stated)}
    assert all(licence.is_free for licence in stated.values())
    assert "motorcycle_left.png" not in stated  # for research only
    assert {file.name for file in (tmp_path / "free").iterdir()} == {LICENCES, *stated}


def test_the_manifest_records_the_licence_of_each(tmp_path: Path) -> None:
    for index in range(30):
        save(tmp_path / f"mine/{index}.png", index)
    listed = {"0.png": {"license": "CC0-1.0", "author": "Ada L.", "source": "a page"}}
    (tmp_path / "mine" / LICENCES).write_text(json.dumps(listed))
    config = PhotosConfig.model_validate({"packages": False, "folders": ["mine"], "license": "mine"})
    manifest = collect_photographs(config, tmp_path, tmp_path / "photos").manifest
    by_source = {photograph.source: photograph.license for photograph in manifest.photographs}
    assert by_source.pop("0.png, by Ada L., a page") == "CC0-1.0"
    assert set(by_source.values()) == {"mine"}


@pytest.mark.parametrize("text", ['{"a.png": {}}', '{"a.png": "CC0"}', "[]", '{"a.png": {"licence": "CC0"}}'])
def test_a_broken_list_is_named_and_not_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / LICENCES).write_text(text)
    with pytest.raises(RestorekitError, match=LICENCES):
        read_licences(tmp_path)
