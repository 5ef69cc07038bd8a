"""Masks that people make: one, a folder of them, or a colour in the photo; and what they leave untouched."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.image import read_image
from restorekit.inference import Restorer
from restorekit.restoring.batch import restore_all
from restorekit.restoring.masks import MaskSource, grown, parse_colour
from restorekit.restoring.photo_file import Wishes, restore_file
from restorekit.restoring.selection import Errand, find_photos, plan
from restorekit.rng import rng_for
from tests.restoring.conftest import Log, photo

HOLE = (slice(20, 40), slice(30, 60))


def drawn(path: Path, height: int, width: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((height, width), np.uint8)
    mask[HOLE] = 255
    cv2.imwrite(str(path), mask)
    return path


def write_lossless(path: Path, dtype: np.dtype, height: int, width: int) -> None:
    pixels = rng_for(3, path.name).integers(0, np.iinfo(dtype).max // 2, (height, width, 3)).astype(dtype)
    if path.suffix == ".webp":
        Image.fromarray(pixels).save(path, lossless=True, exact=True)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb")
    else:
        cv2.imwrite(str(path), pixels)


def stored(path: Path) -> np.ndarray:
    """The pixels as the file holds them, read without our reader."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("size", [(96, 120), (360, 520)])  # filled whole, and from a window
@pytest.mark.parametrize("name, dtype", [
    ("a.png", np.uint8), ("a.png", np.uint16), ("a.tif", np.uint8), ("a.tif", np.uint16), ("a.webp", np.uint8),
])  # fmt: skip
def test_no_bit_outside_the_mask_changes(
    tmp_path: Path, filler: Restorer, name: str, dtype: type, size: tuple[int, int]
) -> None:
    first, target = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    write_lossless(first, np.dtype(dtype), *size)
    masks = MaskSource(drawn(tmp_path / "mask.png", *size), grow=5)
    restore_file(Errand(first, target), filler, Wishes(0.7, masks=masks), Log().note)
    before, after = stored(first), stored(target)
    assert after.dtype == before.dtype == dtype
    changed = (before != after).any(axis=2)
    assert changed[HOLE].all()
    changed[HOLE[0].start - 5 : HOLE[0].stop + 5, HOLE[1].start - 5 : HOLE[1].stop + 5] = False
    assert not changed.any()


def test_one_mask_serves_a_folder_of_photos_and_a_folder_of_masks_goes_by_name(
    tmp_path: Path, filler: Restorer
) -> None:
    for name in ("a.png", "b.png", "deep/a.png"):
        photo(tmp_path / "in" / name, 96, 120)
    found, _ = find_photos([str(tmp_path / "in")], recursive=True)
    drawn(tmp_path / "one.png", 96, 120)
    drawn(tmp_path / "masks/a.tif", 96, 120)
    drawn(tmp_path / "masks/deep/a.bmp", 96, 120).rename(tmp_path / "masks/deep/a.jpg")
    for path, failing in ((tmp_path / "one.png", None), (tmp_path / "masks", "b.png")):
        source = MaskSource(path)
        errands, _ = plan(found, str(tmp_path / "out"), source.files(found))
        problems = restore_all(errands, [filler], Wishes(masks=source), Log())
        if failing is None:
            assert problems == []
        else:
            assert "masks/deep/a.jpg is" in problems[1]  # a BMP file under another suffix
            assert problems[0].startswith(f"no mask for {tmp_path}/in/b.png")
            assert f"it must be called {tmp_path}/masks/b.png" in problems[0]


def test_a_painted_colour_is_what_is_missing(tmp_path: Path, filler: Restorer) -> None:
    first = photo(tmp_path / "a.png", 96, 120)
    pixels = cv2.imread(str(first))
    pixels[HOLE] = (255, 0, 255)
    cv2.imwrite(str(first), pixels)
    cv2.imwrite(str(tmp_path / "a.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    for name, grow in (("a.png", 0), ("a.jpg", 2)):
        errand = Errand(tmp_path / name, tmp_path / "out.png")
        source = MaskSource(colour=parse_colour("#ff00ff"), grow=grow)
        mask = source.of(errand, read_image(errand.photo), Log().note)
        assert mask[HOLE].all()
        assert mask.sum() <= (20 + 2 * grow + 6) * (30 + 2 * grow + 6)
    with pytest.raises(RestorekitError, match="no pixel of the colour #00ff00"):
        MaskSource(colour=(0, 255, 0)).of(errand, read_image(errand.photo), Log().note)


@pytest.mark.parametrize(
    "text, colour", [("#ff00ff", (255, 0, 255)), ("0a0B0c", (10, 11, 12)), ("#f08", (255, 0, 136))]
)
def test_a_colour_is_written_as_on_the_web(text: str, colour: tuple[int, int, int]) -> None:
    assert parse_colour(text) == colour


@pytest.mark.parametrize("text", ["", "#", "red", "#ff00f", "#ff00ff00", "#gg00ff", "ff 0ff"])
def test_other_texts_are_no_colours(text: str) -> None:
    with pytest.raises(RestorekitError, match="write it as #ff00ff"):
        parse_colour(text)


@pytest.mark.parametrize("pixels", [0, 1, 4, 30])
def test_a_grown_hole_is_a_disc_wider(pixels: int) -> None:
    mask = np.zeros((101, 120), np.float32)
    mask[50, 60] = 1
    rows, columns = np.mgrid[:101, :120]
    wanted = (rows - 50) ** 2 + (columns - 60) ** 2 <= pixels**2
    assert np.array_equal(grown(mask, pixels) > 0, wanted)


def test_a_mask_that_grows_over_the_whole_photo_is_refused(tmp_path: Path) -> None:
    first = photo(tmp_path / "a.png", 96, 120)
    source = MaskSource(drawn(tmp_path / "mask.png", 96, 120), grow=1000)
    with pytest.raises(RestorekitError, match="covers all of it"):
        source.of(Errand(first, tmp_path / "b.png"), read_image(first), Log().note)


def test_two_masks_of_one_name_are_refused(tmp_path: Path) -> None:
    first = photo(tmp_path / "a.png", 96, 120)
    for name in ("a.png", "a.tif"):
        drawn(tmp_path / "masks" / name, 96, 120)
    with pytest.raises(RestorekitError, match=r"several masks in .* \(a\.png, a\.tif\)"):
        MaskSource(tmp_path / "masks").file_of(Errand(first, tmp_path / "b.png"))
