"""TIFF files with 16 bits, in the layouts that programs write."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.image import Photo, read_image, to_float, write_image
from restorekit.image.tiff import decode_sixteen
from tests.image.conftest import pixels


def written(path: Path, array: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


@pytest.mark.parametrize(("compression", "predictor"), [(None, False), ("zlib", False), ("zlib", True)])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}, {"byteorder": ">"}, {"bigtiff": True}])
@pytest.mark.parametrize("channels", [3, 4])
def test_planes_apart_are_the_same_photo_as_samples_together(tmp_path, compression, predictor, layout, channels):
    array = pixels(channels=channels, dtype=np.uint16)
    options = {"photometric": "rgb", "compression": compression, "predictor": predictor, **layout}
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    together = read_image(written(tmp_path / "together.tiff", array, **options))
    planes = np.ascontiguousarray(np.moveaxis(array, 2, 0))
    apart = read_image(written(tmp_path / "apart.tiff", planes, planarconfig="separate", **options))
    for photo in (together, apart):
        assert (photo.bits, photo.grey) == (16, False)
        assert np.array_equal(photo.pixels, to_float(array[..., :3]))
        assert photo.alpha is None if channels == 3 else np.array_equal(photo.alpha, to_float(array[..., 3]))


def test_white_that_is_zero_is_white(tmp_path):
    array = pixels(channels=1, dtype=np.uint16)
    photo = read_image(written(tmp_path / "a.tiff", array, photometric="miniswhite"))
    assert photo.grey
    assert np.array_equal(photo.pixels[..., 1], to_float(65535 - array))
    write_image(tmp_path / "b.tiff", photo)
    assert np.array_equal(read_image(tmp_path / "b.tiff").pixels, photo.pixels)


def test_colours_that_are_multiplied_by_their_alpha_are_divided_by_it(tmp_path):
    colours = np.full((7, 9, 3), (0.8, 0.4, 0.1), np.float32)
    alpha = np.linspace(0, 1, 63, dtype=np.float32).reshape(7, 9)
    premultiplied = np.concatenate([colours * alpha[..., None], alpha[..., None]], axis=2)
    stored = np.rint(premultiplied * 65535).astype(np.uint16)
    photo = read_image(written(tmp_path / "a.tiff", stored, photometric="rgb", extrasamples=["assocalpha"]))
    assert np.array_equal(photo.alpha, to_float(stored[..., 3]))
    assert np.abs(photo.pixels - colours)[alpha > 0].max() < 1e-3
    assert photo.pixels.max() <= 1
    assert not photo.pixels[alpha == 0].any()


def test_a_sample_that_is_no_alpha_is_left_out(tmp_path):
    array = pixels(channels=4, dtype=np.uint16)
    photo = read_image(written(tmp_path / "a.tiff", array, photometric="rgb", extrasamples=["unspecified"]))
    assert photo.alpha is None
    assert np.array_equal(photo.pixels, to_float(array[..., :3]))


@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 are none, and count as 1
@pytest.mark.parametrize("compression", [1, 5])  # none and LZW, which OpenCV decodes and turns
def test_every_orientation_is_undone_once(tmp_path, orientation, compression):
    array = pixels(channels=3, dtype=np.uint16)
    path = tmp_path / "a.tiff"
    cv2.imwrite(str(path), array[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    turned_to(path, orientation)
    eight = tmp_path / "b.tiff"
    Image.fromarray((array >> 8).astype(np.uint8)).save(eight, tiffinfo={0x0112: orientation})
    photo, expected = read_image(path), read_image(eight)
    assert photo.bits == 16
    assert np.array_equal(np.floor(photo.pixels * 65535 / 256 + 1e-3).astype(np.uint8), expected.pixels)


def turned_to(path: Path, orientation: int) -> None:
    """Writes an orientation, which OpenCV does not: in place of a tag that no reader needs."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages.first.tags
        if 0x0112 in tags:
            tags[0x0112].overwrite(orientation)
            return
        place = next(tag for tag in tags.values() if tag.code in (0x0128, 0x011A, 0x011B, 0x0153)).offset
        order = file.byteorder
    data = bytearray(path.read_bytes())
    entry = np.array([0x0112, 3], order + "u2").tobytes() + np.array([1], order + "u4").tobytes()
    data[place : place + 12] = entry + np.array([orientation, 0], order + "u2").tobytes()
    path.write_bytes(data)


def test_planes_in_a_compression_that_is_not_known_are_refused(tmp_path):
    path = tmp_path / "a.tiff"
    cv2.imwrite(str(path), pixels(channels=3, dtype=np.uint16), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["PlanarConfiguration"].overwrite(2)
    with pytest.raises(ValueError, match="save it with ZIP or none"):
        decode_sixteen(path.read_bytes(), (37, 31))
    with pytest.raises(RestorekitError, match=r"a\.tiff"):
        read_image(path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_written_files_are_read_alike_by_other_programs(tmp_path, channels, dtype):
    array = pixels(channels=channels, dtype=dtype)
    colour = np.repeat(array[..., None], 3, 2) if channels == 1 else array
    values = colour if dtype == np.uint8 else to_float(colour)
    bits = 8 * np.dtype(dtype).itemsize
    write_image(tmp_path / "a.tiff", Photo(values, None, channels == 1, bits, "tiff", True, None, None))
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), array)
    opened = cv2.imread(str(tmp_path / "a.tiff"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(opened if channels == 1 else opened[..., ::-1], array)
