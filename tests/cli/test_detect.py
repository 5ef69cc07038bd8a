"""`restore` without a model and `detect`: each photo gets the model that it needs, and a clean one is left alone."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from restorekit.image import read_image
from restorekit.models.checkpoint import load_model, save_model
from tests.cli.conftest import photo
from tests.detection.taught import save_taught

SAYS = {
    "bright.png": {"rain": 0.93},
    "clean.png": {"rain": 0.11, "haze": 0.05},
    "both.png": {"rain": 0.71, "haze": 0.9},
    "misty.png": {"haze": 0.88},
}


@pytest.fixture
def shipped(tmp_path: Path, model: Path) -> Path:
    """An installation with a model for rain and a detector of the photos of `SAYS`, which lie in `album`."""
    (tmp_path / "album").mkdir()
    answers: list[tuple[object, Mapping[str, float]]] = []
    for name, says in SAYS.items():
        answers.append((read_image(photo(tmp_path / "album" / name, 33, 40)).pixels, says))
    folder = tmp_path / "shipped"  # as `type_in` has it
    shutil.copytree(model, folder / "rain")
    save_taught(folder / "detector", answers)
    return folder


def results(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.restored.*"))


def test_each_photo_gets_what_it_needs_and_what_lacks_a_model_is_named(shipped, tmp_path, type_in):
    done = type_in("restore", "album")
    assert done.returncode == 1
    assert "album/bright.png: rain 0.93: using shipped:rain\n" in done.stdout
    assert "album/clean.png: clean (rain 0.11, haze 0.05): left as it is\n" in done.stdout
    assert "error: 2 of 4 photos were not restored:\n" in done.stderr
    assert "album/misty.png: haze 0.88, but there is no model for haze yet" in done.stderr
    assert "album/both.png: haze 0.90, rain 0.71, but there is no model for haze yet" in done.stderr
    assert results(tmp_path / "album") == ["bright.restored.png"]
    asked = type_in("restore", "album/bright.png", "--task", "rain", "--output", "asked.png")
    assert asked.returncode == 0, asked.stderr
    assert (tmp_path / "asked.png").read_bytes() == (tmp_path / "album/bright.restored.png").read_bytes()


def test_a_clean_photo_is_left_alone_and_all_is_well(shipped, tmp_path, type_in):
    done = type_in("restore", "album/clean.png", "--output", "out/", "--compare")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "album/clean.png: clean (rain 0.11, haze 0.05): left as it is\n"
    assert not (tmp_path / "out").exists()
    assert results(tmp_path / "album") == []


def test_of_two_the_stronger_is_taken_until_there_is_a_model_for_all(shipped, model, tmp_path, type_in):
    shutil.copytree(model, shipped / "haze")
    done = type_in("restore", "album/both.png")
    assert done.returncode == 0, done.stderr
    assert "album/both.png: haze 0.90, rain 0.71: using shipped:haze (rain was found, too)\n" in done.stdout
    network, record = load_model(model)
    save_model(shipped / "all", network, record)
    again = type_in("restore", "album/both.png", "album/misty.png")
    assert "album/both.png: haze 0.90, rain 0.71: using shipped:all\n" in again.stdout
    assert "album/misty.png: haze 0.88: using shipped:haze\n" in again.stdout
    assert results(tmp_path / "album") == ["both.restored.png", "misty.restored.png"]


def test_a_broken_photo_costs_only_itself_and_jobs_change_nothing(shipped, tmp_path, type_in):
    shutil.copytree(shipped / "rain", shipped / "haze")
    (tmp_path / "album" / "bad.jpg").write_bytes(b"no photo")
    done = type_in("restore", "album", "--jobs", 2)
    assert done.returncode == 1
    assert done.stderr.startswith("error: 1 of 5 photos were not restored:\n  album/bad.jpg")
    assert results(tmp_path / "album") == ["both.restored.png", "bright.restored.png", "misty.restored.png"]
    again = type_in("restore", "album", "--skip-existing")
    assert "skipped: 3 of 5 photos have a result already" in again.stdout
    assert again.stdout.count(" -> ") == 0


def test_a_mask_needs_a_word_on_what_it_is_for(shipped, type_in):
    done = type_in("restore", "album/clean.png", "--mask", "album/both.png")
    assert done.returncode == 1
    assert "add --task inpainting" in done.stderr


def test_detect_tells_and_writes_nothing(shipped, tmp_path, type_in):
    (tmp_path / "album" / "bad.jpg").write_bytes(b"no photo")
    done = type_in("detect", "album")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "album/both.png: haze 0.90, rain 0.71",
        "album/bright.png: rain 0.93",
        "album/clean.png: clean (rain 0.11, haze 0.05)",
        "album/misty.png: haze 0.88",
    ]
    assert "error: 1 of 5 photos were not read:\n  album/bad.jpg" in done.stderr
    assert results(tmp_path / "album") == []
    (line,) = type_in("detect", "album/both.png", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["photo"], told["found"]) == ("album/both.png", ["haze", "rain"])
    assert told["probabilities"]["rain"] == pytest.approx(0.71, abs=1e-3)
    assert told["thresholds"]["rain"] == 0.5


def test_a_damaged_detector_is_named(shipped, type_in):
    record = shipped / "detector" / "detector.json"
    record.write_text(record.read_text().replace("0.5", "0.6"))
    for command in ("detect", "restore"):
        done = type_in(command, "album/clean.png")
        assert done.returncode == 1
        assert "the digest differs" in done.stderr


def test_without_a_detector_detect_says_so(type_in):
    done = type_in("detect", "a.png")
    assert done.returncode == 1
    assert "carries no detector" in done.stderr
