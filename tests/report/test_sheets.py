"""The page of degradations shows every task and kind from its own files, and the figures of real pairs, if any."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from restorekit.config import PhotosConfig
from restorekit.degradations import DEGRADATIONS, Scene
from restorekit.degradations.rain import Rain
from restorekit.image import decode_rgb
from restorekit.report.sheets import GUTTER, SEVERITIES, SHORT_SIDE, Sheet, make_sheets, write_sheets
from restorekit.report.traits import Traits, reference_traits, streak_direction, traits_of
from restorekit.rng import rng_for
from restorekit.sources.collection import collect_photographs
from restorekit.sources.photo_index import PhotoIndex, PhotoManifest
from restorekit.tasks import get_task


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> list[Sheet]:
    root = tmp_path_factory.mktemp("root")
    collect_photographs(PhotosConfig(), root, root / "photos")
    return make_sheets(PhotoIndex.open(root / "photos"), 3)


def test_every_task_and_kind_is_shown_from_local_files(sheets: list[Sheet], tmp_path: Path) -> None:
    real = [Traits("rain", "<b>mine</b>", (20.0, 25.5, 31.0), (0.1, 0.2, 0.3), (-5.0, 0.0, 5.0), 7)]
    write_sheets(tmp_path, sheets, real)
    page = (tmp_path / "degradations.html").read_text()
    assert not re.search(r"https?://|@import|url\(", page)
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    for one in reference_traits():
        assert page.count(f"{one.name} <span") == 1
        assert f"public set, {one.n} pairs of it" in page
    assert "25.5" in page
    files = re.findall(r'src="([^"]+)"', page)
    assert len(files) == len(set(files)) == sum(len(get_task(task).kinds) for task in DEGRADATIONS)
    for file in files:
        image = decode_rgb((tmp_path / file).read_bytes())
        assert image.shape[0] == SHORT_SIDE
        cells = len(SEVERITIES) + 1
        assert (image.shape[1] - (cells - 1) * GUTTER) % cells == 0
    for task in DEGRADATIONS:
        assert f'id="{task}"' in page
    again = tmp_path / "again"
    again.mkdir()
    write_sheets(again, sheets, real)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("degradations/*")} == {
        path.name: path.read_bytes() for path in again.glob("degradations/*")
    }


def test_without_test_photographs_there_are_no_sheets(tmp_path: Path) -> None:
    PhotoManifest(()).save(tmp_path)
    assert make_sheets(PhotoIndex.open(tmp_path), 3) == []


def test_traits_of_a_known_change_are_exact() -> None:
    clean = np.full((50, 80, 3), 0.5, np.float32)
    degraded = clean.copy()
    degraded[:10] += 0.1
    traits = traits_of("haze", "made", [(degraded, clean)] * 3)
    assert traits.psnr == pytest.approx((27.0, 27.0, 27.0), abs=0.05)
    assert traits.share == pytest.approx((0.2, 0.2, 0.2))
    assert traits.direction is None
    assert traits.n == 3


@pytest.mark.parametrize("angle", [-20.0, 0.0, 15.0])
def test_the_measured_direction_of_streaks_is_that_of_the_record(angle: float) -> None:
    grey = Scene(np.full((200, 240, 3), 0.3, np.float32))
    params = Rain().sample(rng_for(1), (200, 240), 0.5, "light")
    params |= {"fan": 0.0, "layers": [{**layer, "angle": angle, "spread": 0.0} for layer in params["layers"]]}
    change = Rain().apply(grey, params).noise_layer
    assert streak_direction(change) == pytest.approx(angle, abs=3)
    assert streak_direction(cv2.flip(change, 1)) == pytest.approx(-angle, abs=3)
