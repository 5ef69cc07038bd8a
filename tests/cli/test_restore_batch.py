"""`restore` on folders and patterns: what it says, how it ends, and how it goes on."""

import io
import os
import sys
from pathlib import Path

import pytest

from restorekit import weights
from restorekit.cli import main
from restorekit.image import read_image
from tests.cli.conftest import photo
from tests.restoring.conftest import interrupting


@pytest.fixture
def album(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    for name in "abc":
        photo(tmp_path / "album" / f"{name}.png", 33, 40)
    return tmp_path / "album"


def test_a_folder_with_a_broken_photo_goes_on_where_it_was(album, model, type_in):
    (album / "bad.jpg").write_bytes(b"no photo")
    (album / "c.png").rename(album / "later.png")
    done = type_in("restore", "album", "--model", model, "--compare", "--jobs", 2)
    assert done.returncode == 1
    assert done.stderr.startswith("error: 1 of 4 photos were not restored:\n  album/bad.jpg")
    assert done.stdout.count(" -> ") == 3
    times = {file.name: file.stat().st_mtime_ns for file in album.glob("*.restored.png")}
    (album / "later.restored.png").unlink()
    again = type_in("restore", "album", "--model", model, "--skip-existing")
    assert again.returncode == 1
    assert "skipped: 2 of 4 photos have a result already" in again.stdout
    assert again.stdout.count(" -> ") == 1
    assert all((album / name).stat().st_mtime_ns == times[name] for name in ("a.restored.png", "b.restored.png"))
    (album / "bad.jpg").unlink()
    last = type_in("restore", "album", "--model", "no/such/model", "--skip-existing")  # nothing is loaded
    assert last.returncode == 0, last.stderr


def test_ctrl_c_is_one_line_with_what_is_done(album, model, monkeypatch, capsys):
    class Interrupts(io.StringIO):
        def write(self, text: str) -> int:
            if " -> " in text:
                interrupt()
            return super().write(text)

    interrupt = interrupting()
    monkeypatch.chdir(album)
    monkeypatch.setattr(sys, "argv", ["restorekit", "restore", ".", "--model", str(model)])
    monkeypatch.setattr(sys, "stdout", Interrupts())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("interrupted: 1 of 3 photos are restored; the same command with --skip-existing goes on")
    assert not list(album.glob(".*"))
    read_image(album / "a.restored.png")


def test_a_name_that_no_terminal_prints_is_escaped(tmp_path, model, type_in):
    odd = os.fsdecode(b"caf\xe9\x1b[31m\n.png")
    photo(tmp_path / "a.png", 33, 40).rename(tmp_path / odd)
    done = type_in("restore", ".", "gone\x1b.jpg", "--model", model)
    assert "caf\\udce9\\x1b[31m\\n.png -> " in done.stdout
    assert "no photo at gone\\x1b.jpg" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert Path(tmp_path / odd.replace(".png", ".restored.png")).exists()


def test_a_terminal_without_the_letter_gets_an_escape(album, model, monkeypatch):
    (album / "a.png").rename(album / "ü.png")
    written = io.BytesIO()
    monkeypatch.chdir(album)
    monkeypatch.setattr(sys, "argv", ["restorekit", "restore", "ü.png", "--model", str(model)])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert written.getvalue().startswith(b"\\xfc.png -> \\xfc.restored.png")


def test_without_a_model_or_a_task_the_message_says_what_there_is(album, type_in, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", album)  # an installation without a detector
    done = type_in("restore", "album")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --task or --model is required")
    assert "motion_blur" in done.stderr
    for arguments, message in (
        (["--task", "rian"], "did you mean 'rain'"),
        (["--task", "rain", "--model", "x"], "both choose a model"),
        (["--mask", "a.png", "--mask-colour", "#fff", "--model", "x"], "both say what is missing"),
        (["--mask-colour", "pink", "--model", "x"], "is no colour"),
    ):
        done = type_in("restore", "album", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
    assert type_in("restore", "album", "--strength", "1.5", "--model", "x").returncode == 2
