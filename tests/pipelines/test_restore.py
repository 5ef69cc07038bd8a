"""Thousands of photos: from a folder or a bucket into another, on after a stop, with failures on a list."""

import json
from pathlib import Path

import pytest
import torch

from pipelines import restore
from restorekit import weights
from restorekit.detection.detector import Detector
from restorekit.errors import RestorekitError
from restorekit.image import read_image
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.restoring.opening import Settings
from restorekit.restoring.photo_file import Wishes
from restorekit.restoring.thousands import Move, Place, look_at_part, restore_part, waiting_photos
from restorekit.storage import Remote
from tests.detection.taught import save_taught
from tests.restoring.conftest import Brighter, photo


def test_a_folder_goes_into_another_and_a_second_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "deep/a.png", "deep/b.png"):
        photo(tmp_path / "in" / name)
    (tmp_path / "in/bad.jpg").write_bytes(b"no photo")
    left = tmp_path / "out/deep/b.restored.png"  # by a run that was killed
    left.parent.mkdir(parents=True)
    left.write_bytes(b"whole")
    torch.manual_seed(0)
    record = {"run": "made", "task": "rain", "dataset": "rain", "seed": 0, "steps": 0}
    save_model(tmp_path / "model", create_model("dmgn", variant="rain", width=2, trunk="none"), record)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    command = ["restore", "--input", "in", "--output", "out", "--model", "./model", "--workers", "1"]
    monkeypatch.setattr("sys.argv", command)
    restore.main()
    assert "2 photos restored" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "out/failures.json").read_text())) == ["bad.jpg"]
    for name in ("a.restored.png", "deep/a.restored.png"):
        assert read_image(tmp_path / "out" / name).pixels.shape == (24, 32, 3)
    assert left.read_bytes() == b"whole"
    (tmp_path / "in/bad.jpg").unlink()
    monkeypatch.setattr("sys.argv", [*command[:-3], "no/such/model"])  # nothing is left, so nothing is loaded
    restore.main()
    assert json.loads((tmp_path / "out/failures.json").read_text()) == {}


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos that need rain's model, haze's and none, one broken; rain's model and a detector are shipped."""
    said = {"deep/wet.png": {"rain": 0.9}, "clean.png": {}, "misty.png": {"haze": 0.8}}
    answers = [(read_image(photo(tmp_path / "in" / name)).pixels, says) for name, says in said.items()]
    (tmp_path / "in/bad.jpg").write_bytes(b"no photo")
    save_taught(tmp_path / "weights" / "detector", answers)
    torch.manual_seed(0)
    record = {"run": "made", "task": "rain", "dataset": "rain", "seed": 0, "steps": 0}
    save_model(tmp_path / "weights" / "rain", create_model("dmgn", variant="rain", width=2, trunk="none"), record)
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_photo_gets_the_model_that_it_needs(several: Path) -> None:
    place, detector = Place.named("in"), Detector.load(several / "weights" / "detector")
    names = place.photos()
    looked = list(look_at_part(place, detector.calibration, names, detector.network, 0, len(names)))
    failures: dict[str, str] = {}
    ((chosen, waiting),) = restore.by_model(names, looked, failures)
    assert (chosen.name, waiting) == ("shipped:rain", ["deep/wet.png"])
    assert sorted(failures) == ["bad.jpg", "misty.png"]
    assert failures["misty.png"].startswith("misty.png: haze 0.80, but there is no model for haze yet")


@pytest.mark.slow
def test_a_cluster_looks_first_and_restores_then(
    several: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["restore", "--input", "in", "--output", "out", "--workers", "1"])
    restore.main()
    told = capsys.readouterr().out
    assert "rain: using shipped:rain for 1 photos\n" in told
    assert "1 photos restored to" in told
    assert ", 2 not, 1 clean ones left as they are\n" in told
    assert sorted(json.loads((several / "out/failures.json").read_text())) == ["bad.jpg", "misty.png"]
    results = {path.relative_to(several / "out").as_posix() for path in (several / "out").rglob("*.png")}
    assert results == {"deep/wet.restored.png"}


def test_a_bucket_goes_into_another(bucket: str, tmp_path: Path) -> None:
    source = Remote(f"{bucket}/in")
    for name in ("a.png", "deep/a.png"):
        (source / name).put(photo(tmp_path / name))
    (source / "bad.jpg").write(b"no photo")
    (source / ".hidden/b.png").write(b"")
    (source / "a.restored.png").write(b"")
    move = Move(Place.named(f"{bucket}/in/"), Place.named(f"{bucket}/out"), {}, Settings(device="cpu"), Wishes())
    names = waiting_photos(move)
    assert names == ["a.png", "bad.jpg", "deep/a.png"]
    outcomes = dict(restore_part(move, names, Brighter(), 0, 3))
    assert [bool(outcomes[name]) for name in names] == [False, True, False]
    assert outcomes["bad.jpg"].startswith(f"{bucket}/in/bad.jpg is ")
    assert waiting_photos(move) == ["bad.jpg"]
    (Remote(f"{bucket}/out") / "deep/a.restored.png").get(tmp_path / "back.png")
    assert read_image(tmp_path / "back.png").pixels.mean() > read_image(tmp_path / "a.png").pixels.mean() + 60


def test_impossible_places_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for arguments, message in (
        (["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/in/"], "are one place"),
        (["--input", f"{tmp_path}/gone", "--output", f"{tmp_path}/out"], "no photo at"),
        (["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out"], "no photo in"),
        (["--input", "a", "--output", "b", "--strength", "2"], "from 0 to 1"),
    ):
        monkeypatch.setattr("sys.argv", ["restore", *arguments])
        with pytest.raises(RestorekitError, match=message):
            restore.main()
