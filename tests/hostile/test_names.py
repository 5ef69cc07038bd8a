"""Lists of files that come from outside: none of them names a file outside its folder."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file, write_json
from restorekit.image import encode_rgb
from restorekit.sources.photo_index import Photograph, PhotoIndex, PhotoManifest, load_photograph
from restorekit.storage import INDEX, fetch, local_path
from tests.pipelines.conftest import scenes


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside"])
def test_a_stored_list_cannot_name_a_file_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    stored = tmp_path / "stored" / "folder"
    stored.mkdir(parents=True)
    (tmp_path / "stored" / "outside").write_text("bytes")
    known = {"bytes": 5, "sha256": sha256_file(tmp_path / "stored" / "outside")}
    (stored / INDEX).write_text(json.dumps({name: known}))
    with pytest.raises(RestorekitError, match=r"names '.*outside', which is outside: store the folder again"):
        fetch(local_path(f"file://{stored}"))
    assert not list((tmp_path / "cache").rglob("outside*"))


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', "{", "[" * 100_000, '{"a": {"sha256": 3}}'])
def test_a_stored_list_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    stored = tmp_path / "stored"
    stored.mkdir()
    (stored / INDEX).write_text(text)
    if text == "[]":
        assert fetch(local_path(f"file://{stored}")).name == "stored"  # a list of nothing
        return
    with pytest.raises(RestorekitError, match=r"lists no files"):
        fetch(local_path(f"file://{stored}"))


def photographs(folder: Path, **changes: Any) -> PhotoIndex:
    """A folder with one photograph, whose entry has `changes`; the table is signed."""
    name, pixels = scenes()[0]
    folder.mkdir()
    file = folder / f"{name}.png"
    file.write_bytes(encode_rgb(pixels, "png"))
    entry = Photograph(
        name, file.name, pixels.shape[1], pixels.shape[0], sha256_file(file), 1, "CC0", "made", "train", name
    )
    PhotoManifest((entry,)).save(folder)
    table = folder / "photographs.sqlite"
    with closing(sqlite3.connect(table)) as database, database:
        for column, value in changes.items():
            database.execute(f"UPDATE photographs SET {column} = ?", (value,))
    header = json.loads((folder / "manifest.json").read_text())
    write_json(folder / "manifest.json", {**header, "table_sha256": sha256_file(table)})
    return PhotoIndex.open(folder)


@pytest.mark.parametrize("column", ["file", "disparity"])
def test_a_table_of_photographs_cannot_name_a_file_outside_its_folder(tmp_path: Path, column: str) -> None:
    index = photographs(tmp_path / "photos", **{column: "../outside.png"})
    with pytest.raises(RestorekitError, match=r"names '\.\./outside\.png', which is outside its folder"):
        index.photograph("train", 0)


def test_a_photograph_of_a_size_that_its_entry_does_not_state_is_refused(tmp_path: Path) -> None:
    """Else a frame would be resized to 10^9 pixels."""
    index = photographs(tmp_path / "photos", width=10**9)
    with pytest.raises(RestorekitError, match=r"has 45 x 37 pixels, the manifest says 1000000000 x 37"):
        load_photograph(tmp_path / "photos", index.photograph("train", 0))
