"""One photo's file restored into another."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from restorekit.image import read_image
from restorekit.inference import Restorer
from restorekit.restoring.photo_file import GUTTER, PANEL, Wishes, before_after, restore_file
from restorekit.restoring.selection import Errand
from tests.restoring.conftest import Brighter, Log, photo


def test_strength_blends_the_result_with_the_photo(tmp_path: Path, brighter: Restorer) -> None:
    first = photo(tmp_path / "a.png")
    before = read_image(first).pixels.astype(int)
    for strength, levels in ((0.0, 0), (0.5, 32), (1.0, 64)):
        restore_file(Errand(first, tmp_path / "out.png"), brighter, Wishes(strength), Log().note)
        after = read_image(tmp_path / "out.png").pixels.astype(int)
        assert np.abs(after - before - levels).max() <= (strength > 0)


def test_a_comparison_shows_the_photo_and_then_the_result(tmp_path: Path, brighter: Restorer) -> None:
    first = photo(tmp_path / "a.png")
    restore_file(Errand(first, tmp_path / "b.restored.tif"), brighter, Wishes(compare=True), Log().note)
    picture = read_image(tmp_path / "b.restored.tif.compare.jpg").pixels
    assert picture.shape == (24, 2 * 32 + GUTTER, 3)
    assert picture[:, -32:].mean() - picture[:, :32].mean() == pytest.approx(64, abs=2)


@pytest.mark.parametrize("height, width", [(1, 1), (40, 9000), (9000, 40), (2200, 1500)])
def test_a_comparison_has_a_size_that_can_be_shown(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    shape = before_after(pixels, pixels).shape
    assert max(shape) <= 2 * PANEL + GUTTER
    assert min(shape[:2]) >= 1


def test_a_result_has_the_photos_time_on_request(tmp_path: Path, brighter: Restorer) -> None:
    first, target = photo(tmp_path / "a.png"), tmp_path / "b.png"
    os.utime(first, (1e9, 1e9))
    restore_file(Errand(first, target), brighter, Wishes(), Log().note)
    assert target.stat().st_mtime > 1e9
    restore_file(Errand(first, target), brighter, Wishes(keep_time=True), Log().note)
    assert target.stat().st_mtime == 1e9


def test_nothing_is_left_where_the_comparison_cannot_be_written(tmp_path: Path, brighter: Restorer) -> None:
    first = photo(tmp_path / "a.png")
    errand = Errand(first, tmp_path / f"{'x' * 245}.png")  # with .compare.jpg the name is too long
    with pytest.raises(Exception, match="cannot be written"):
        restore_file(errand, brighter, Wishes(compare=True), Log().note)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_tiles_are_reported(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    restorer = Restorer(Brighter(), tile=32)
    first = photo(tmp_path / "a.png", 32, 96)
    restore_file(Errand(first, tmp_path / "b.png"), restorer, Wishes(), Log().note, lambda *counts: seen.append(counts))
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    assert len(seen) > 2
    assert cv2.imread(str(tmp_path / "b.png")).shape == (32, 96, 3)
