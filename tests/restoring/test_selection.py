"""Which photos a command's names stand for, and where the results go."""

import os
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.restoring.selection import Found, find_photos, is_result, plan


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files in folders; selection never reads them."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "album/b.jpg", "album/a.PNG", "album/notes.txt", "album/.hidden.jpg", "album/a.restored.PNG",
        "album/new.tif.compare.jpg", "album/b.restored.jpg.compare.jpg", "album/deep/c.webp", "album/deep/er/a.PNG",
        "album/.cache/d.jpg", "empty/readme.txt",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(arguments: list[str], recursive: bool = False) -> list[str]:
    found, problems = find_photos(arguments, recursive)
    assert problems == []
    return [str(one.photo) for one in found]


def test_a_folder_gives_its_photos_but_neither_results_nor_hidden_files(album: Path) -> None:
    assert names(["album"]) == ["album/a.PNG", "album/b.jpg"]
    assert names(["album"], recursive=True) == [
        "album/a.PNG", "album/b.jpg", "album/deep/c.webp", "album/deep/er/a.PNG",
    ]  # fmt: skip


def test_a_pattern_gives_the_photos_that_match(album: Path) -> None:
    assert names(["album/*"]) == ["album/a.PNG", "album/b.jpg"]
    assert names(["album/**/?.*"]) == ["album/a.PNG", "album/b.jpg", "album/deep/c.webp", "album/deep/er/a.PNG"]
    assert names([f"{album}/album/deep/[cd].webp"]) == [f"{album}/album/deep/c.webp"]
    (album / "album/[c].jpg").touch()  # a file, not a pattern
    assert names(["album/[c].jpg"]) == ["album/[c].jpg"]


def test_a_photo_that_several_names_stand_for_is_taken_once(album: Path) -> None:
    assert names(["album/b.jpg", "album", "./album/../album/b.jpg", "album/*.jpg"]) == ["album/b.jpg", "album/a.PNG"]


def test_each_name_without_a_photo_is_one_problem(album: Path) -> None:
    (album / "loop.jpg").symlink_to("loop.jpg")
    found, problems = find_photos(["gone.jpg", "empty", "x*.jpg", "loop.jpg", "album/b.jpg"])
    assert [one.photo for one in found] == [Path("album/b.jpg")]
    assert problems[0] == "no photo at gone.jpg"
    assert problems[1].startswith("no photo in empty (.jpg")
    assert problems[2] == "no photo matches x*.jpg"
    assert problems[3].startswith("loop.jpg cannot be read: ")


def test_links_to_folders_are_not_followed(album: Path) -> None:
    (album / "album/deep/again").symlink_to(album / "album")
    assert len(names(["album"], recursive=True)) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_a_problem(album: Path) -> None:
    (album / "album/deep").chmod(0)
    _, problems = find_photos(["album"], recursive=True)
    (album / "album/deep").chmod(0o755)
    assert problems == ["the folder album/deep cannot be read: Permission denied"]


def targets(found: list[Found], output: str | None = None) -> list[str]:
    errands, problems = plan(found, output)
    assert problems == []
    return [str(errand.target) for errand in errands]


def test_a_result_lies_beside_its_photo_or_in_a_folder_of_the_same_shape(album: Path) -> None:
    found, _ = find_photos(["album"], recursive=True)
    assert targets(found)[2:] == ["album/deep/c.restored.webp", "album/deep/er/a.restored.PNG"]
    assert targets(found, "out") == [
        "out/a.restored.PNG", "out/b.restored.jpg", "out/deep/c.restored.webp", "out/deep/er/a.restored.PNG",
    ]  # fmt: skip
    assert targets(found[:1], "new.2024/") == ["new.2024/a.restored.PNG"]
    (album / "old.2023").mkdir()
    assert targets(found[:1], "old.2023") == ["old.2023/a.restored.PNG"]
    assert targets(found[:1], "new.tif") == ["new.tif"]


def test_a_photo_of_a_format_that_is_only_read_becomes_a_jpeg(album: Path) -> None:
    for name in ("iphone/a.HEIC", "iphone/b.jpg"):
        (album / name).parent.mkdir(exist_ok=True)
        (album / name).touch()
    found, problems = find_photos(["iphone"])
    errands, more = plan(found)
    assert problems + more == []
    assert [str(one.target) for one in errands] == ["iphone/a.restored.jpg", "iphone/b.restored.jpg"]


def test_one_file_for_several_photos_and_a_file_in_place_of_a_folder_are_refused(album: Path) -> None:
    found, _ = find_photos(["album"])
    with pytest.raises(RestorekitError, match="name a folder, with / at its end"):
        plan(found, "new.2024")
    with pytest.raises(RestorekitError, match=r"must be one of \.jpg"):
        plan(found[:1], "new.2024")
    (album / "out").touch()
    with pytest.raises(RestorekitError, match="is a file without a photo's suffix"):
        plan(found, "out")


def test_results_that_would_overwrite_each_other_or_an_input_are_refused(album: Path) -> None:
    found, _ = find_photos(["album/a.PNG", "album/deep/er/a.PNG"])
    errands, problems = plan(found, "out")
    assert [str(errand.photo) for errand in errands] == ["album/a.PNG"]
    assert "album/a.PNG goes to out/a.restored.PNG already" in problems[0]
    (album / "linked.jpg").symlink_to(album / "album/b.jpg")
    _, problems = plan([Found(Path("album/b.jpg"))], "linked.jpg")
    assert "will not be overwritten" in problems[0]
    _, problems = plan([Found(Path("album/b.jpg"))], "album/a.PNG", masks=[Path("album/a.PNG")])
    assert "will not be overwritten" in problems[0]


def test_every_name_of_a_result_is_recognised(album: Path) -> None:
    for output in (None, "out", "new.tif"):
        (errand,), _ = plan([Found(Path("album/b.jpg"))], output)
        assert is_result(errand.compare.name)
        assert is_result(errand.target.name) == (output != "new.tif")
    assert not is_result("restored.jpg")
