"""What the page does with a photo: the command's own result, limits, and nothing left behind."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.detection.detector import Detector
from restorekit.errors import RestorekitError
from restorekit.image import read_image
from restorekit.inference import Restorer
from restorekit.restoring.choice import Chosen
from restorekit.restoring.photo_file import Wishes, restore_file
from restorekit.restoring.selection import Errand
from restorekit.ui import desk as desks
from restorekit.ui.desk import PAINTED_SIDE, Desk
from tests.detection.taught import save_taught
from tests.restoring.conftest import Brighter, Log, photo


def desk_with(folder: Path, network: Brighter) -> Desk:
    """A desk whose only model is open already."""
    return Desk(folder / "results", "made", _open={"made": (Chosen("made", network, {}), Restorer(network))})


def test_a_look_says_what_the_file_is_and_shrinks_what_is_painted_on(tmp_path: Path) -> None:
    look = desk_with(tmp_path, Brighter()).look(photo(tmp_path / "a.png", 40, 3000))
    assert (look.text, look.task) == ("PNG, 3000 x 40 pixels, 8 bits per channel.", None)
    assert look.shown.shape == (17, PAINTED_SIDE, 3)


def test_a_look_says_what_is_wrong_and_names_the_task(tmp_path: Path) -> None:
    wet, clean = photo(tmp_path / "wet.png"), photo(tmp_path / "clean.png")
    answers = [(read_image(wet).pixels, {"rain": 0.93, "haze": 0.6}), (read_image(clean).pixels, {"haze": 0.2})]
    save_taught(tmp_path / "detector", answers)
    desk = Desk(tmp_path / "results", detector=Detector.load(tmp_path / "detector"))
    look = desk.look(wet)
    assert look.task == "rain"
    assert "Found: rain 0.93, haze 0.60. " in look.text
    look = desk.look(clean)
    assert look.task is None
    assert "Nothing was found that is wrong: clean (haze 0.20, " in look.text
    look = Desk(tmp_path / "results").look(wet)
    assert look.task is None
    assert look.text.endswith("choose the task.")


def test_the_result_is_the_commands_and_the_slider_shows_all_pixels(tmp_path: Path) -> None:
    first = photo(tmp_path / "a.png", 40, 60)
    done = desk_with(tmp_path, Brighter()).restore(first, "rain", 0.5)
    assert done.result.name == "a.restored.png"
    restore_file(Errand(first, tmp_path / "b.png"), Restorer(Brighter()), Wishes(0.5), Log().note)
    assert done.result.read_bytes() == (tmp_path / "b.png").read_bytes()
    for shown, file in ((done.before, first), (done.after, done.result)):
        pixels = read_image(shown).pixels.astype(int)
        assert np.abs(pixels - read_image(file).pixels).mean() < 8  # a JPEG of noise


def test_what_is_painted_is_filled_at_the_photos_size(tmp_path: Path) -> None:
    first, painted = photo(tmp_path / "a.png", 80, 120), np.zeros((40, 60), np.uint8)
    painted[10:20, 5:15] = 77  # half transparent is painted, too
    desk = desk_with(tmp_path, Brighter(takes_mask=True))
    done = desk.restore(first, "inpainting", 1.0, painted)
    changed = (read_image(first).pixels != read_image(done.result).pixels).any(axis=2)
    assert changed[20:40, 10:30].all()
    changed[20:40, 10:30] = False
    assert not changed.any()
    for nothing in (None, np.zeros((40, 60), np.uint8)):
        with pytest.raises(RestorekitError, match="paint over"):
            desk.restore(first, "inpainting", 1.0, nothing)


def test_only_the_last_result_lies_on_the_disk_and_none_after_a_clear(tmp_path: Path) -> None:
    desk, first = desk_with(tmp_path, Brighter()), photo(tmp_path / "a.png")
    done = [desk.restore(first, "rain", strength) for strength in (0.2, 0.8)]
    assert [one.result.exists() for one in done] == [False, True]
    desk.clear()
    assert list(desk.folder.iterdir()) == []


def test_too_many_pixels_and_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_with(tmp_path, Brighter())
    monkeypatch.setattr(desks, "MAX_PIXELS", 1000)
    with pytest.raises(RestorekitError, match=r"a\.png has .* million pixels; the page takes"):
        desk.look(photo(tmp_path / "a.png", 40, 30))
    Image.new("RGB", (9, 9)).save(tmp_path / "a.bmp")
    with pytest.raises(RestorekitError, match=r"a\.bmp is no photo by its name, .*\.jpg"):
        desk.look(tmp_path / "a.bmp")
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    with pytest.raises(RestorekitError, match=r"bad\.jpg"):
        desk.restore(tmp_path / "bad.jpg", "rain", 1.0)
    assert not desk.folder.exists() or list(desk.folder.iterdir()) == []
