"""A shard is hashed once on a machine, and again after any change."""

import os
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.shards import manifest as manifest_module
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.verified import verify_once


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the files that were hashed."""
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    names: list[str] = []
    hashing = manifest_module.sha256_file

    def noted(path: Path) -> str:
        names.append(path.name)
        return hashing(path)

    monkeypatch.setattr(manifest_module, "sha256_file", noted)
    return names


@pytest.fixture
def folder(tiny_shards: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "train"
    copied.mkdir()
    for file in (tiny_shards / "train").iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    return copied


def test_a_verified_shard_is_not_hashed_again(folder: Path, hashed: list[str]) -> None:
    shards = ShardManifest.load(folder)
    for _ in range(3):
        assert verify_once(shards, folder, 1, settled_s=-1) == folder / shards.shards[1].name
    assert hashed == ["1.tar"]
    verify_once(shards, folder, 2, settled_s=-1)
    assert hashed == ["1.tar", "2.tar"]


def test_a_change_is_found_whatever_its_size_and_date(folder: Path, hashed: list[str]) -> None:
    shards, path = ShardManifest.load(folder), folder / "1.tar"
    verify_once(shards, folder, 1, settled_s=-1)
    known, sound = path.stat(), path.read_bytes()
    path.write_bytes(sound[:600] + bytes([sound[600] ^ 1]) + sound[601:])
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    with pytest.raises(RestorekitError, match=r"1\.tar is not the one its manifest names"):
        verify_once(shards, folder, 1, settled_s=-1)
    path.unlink()
    with pytest.raises(RestorekitError, match=r"1\.tar is missing"):
        verify_once(shards, folder, 1, settled_s=-1)
    path.write_bytes(sound)
    verify_once(shards, folder, 1, settled_s=-1)


def test_a_file_that_has_just_been_written_gets_no_note(folder: Path, hashed: list[str]) -> None:
    shards = ShardManifest.load(folder)
    for _ in range(2):
        verify_once(shards, folder, 0, settled_s=3600)
    assert hashed == ["0.tar", "0.tar"]


def test_without_a_place_for_notes_every_reader_verifies(
    folder: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "file"))
    shards = ShardManifest.load(folder)
    for _ in range(2):
        verify_once(shards, folder, 0, settled_s=-1)
    assert hashed == ["0.tar", "0.tar"]
