"""Odd photos through the whole of `restore`: the right note or message, the right file, and nothing half written."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.image import read_image
from tests.image.conftest import phone_jpeg, photograph
from tests.image.test_jpeg import HDR, two_pictures
from tests.image.test_odd_files import REFUSED, png_sixteen

RGB, GREY = photograph(), photograph()[..., 1]


def saved(array: np.ndarray, form: str, mode: str | None = None, **options: object) -> bytes:
    picture, buffer = Image.fromarray(array), io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, form, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def frames(form: str) -> bytes:
    return saved(RGB, form, save_all=True, append_images=[Image.fromarray(255 - RGB)], lossless=True)


DEEP = RGB.astype(np.uint16) * 257
GAIN_MAP = b"\xff\xd8\xff\xe1" + (len(HDR) + 31).to_bytes(2, "big") + b"http://ns.adobe.com/xap/1.0/\x00" + HDR
ODD: dict[str, tuple[Callable[[], bytes], str]] = {  # a file's name, its bytes, and words of its note
    "phone.jpg": (lambda: phone_jpeg(6), ""),
    "gainmap.jpg": (lambda: GAIN_MAP + two_pictures(RGB, RGB[::4, ::4])[2:], "gain map"),
    "stereo.jpg": (lambda: two_pictures(RGB, 255 - RGB), "holds 2 pictures"),
    "print.jpg": (lambda: saved(RGB, "JPEG", "CMYK"), "is CMYK; it becomes RGB"),
    "no-end.jpg": (lambda: saved(RGB, "JPEG")[:-2], "lacks its end"),
    "wrong-name.jpg": (lambda: saved(RGB, "PNG"), "holds a PNG, whatever its name says"),
    "palette.png": (lambda: saved(RGB, "PNG", "P", transparency=3), ""),
    "clear.png": (lambda: saved(np.dstack([GREY, 255 - GREY]), "PNG"), ""),
    "deep.png": (lambda: png_sixteen(DEEP), ""),
    "planes.tif": (lambda: tiff(np.moveaxis(DEEP, 2, 0).copy(), photometric="rgb", planarconfig="separate"), ""),
    "negative.tif": (lambda: tiff(DEEP[..., 0], photometric="miniswhite"), ""),
    "pages.tif": (lambda: frames("TIFF"), "holds 2 pictures (pages)"),
    "moving.webp": (lambda: frames("WEBP"), "holds 2 pictures (frames of an animation)"),
    "photo.avif": (lambda: saved(RGB, "AVIF"), ""),
    "dot.png": (lambda: saved(RGB[:1, :1], "PNG"), ""),
    "strip.png": (lambda: saved(cv2.resize(RGB, (20_000, 3)), "PNG"), ""),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_photos_are_restored_with_the_right_note(tmp_path: Path, model, type_in, name):
    (tmp_path / name).write_bytes(ODD[name][0]())
    ended = type_in("restore", tmp_path / name, "--model", model)
    assert ended.returncode == 0, ended.stderr
    assert ODD[name][1] in ended.stderr
    assert ODD[name][1] or "note" not in ended.stderr
    result = tmp_path / f"{Path(name).stem}.restored{Path(name).suffix}"
    before, after = read_image(tmp_path / name), read_image(result)
    assert after.pixels.shape == before.pixels.shape
    assert (after.bits, after.grey, after.alpha is None) == (before.bits, before.grey, before.alpha is None)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([name, result.name])


def test_losses_by_another_format_are_noted(tmp_path: Path, model, type_in):
    (tmp_path / "deep.png").write_bytes(png_sixteen(DEEP))
    (tmp_path / "phone.jpg").write_bytes(phone_jpeg(6))
    ended = type_in("restore", tmp_path / "deep.png", "--model", model, "--output", tmp_path / "flat.jpg")
    assert ended.returncode == 0, ended.stderr
    assert "flat.jpg: a JPEG cannot keep 16 bits per channel" in ended.stderr
    ended = type_in("restore", tmp_path / "phone.jpg", "--model", model, "--output", tmp_path / "phone.webp")
    assert "phone.webp: a WebP cannot keep IPTC" in ended.stderr


def test_heic_in_a_folder_costs_only_itself(tmp_path: Path, model, type_in):
    (tmp_path / "a.HEIC").write_bytes(REFUSED["photo.heic"][0])  # damaged where pillow-heif is installed
    (tmp_path / "b.png").write_bytes(saved(RGB, "PNG"))
    ended = type_in("restore", tmp_path, "--model", model)
    assert ended.returncode == 1
    assert "a.HEIC is" in ended.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.HEIC", "b.png", "b.restored.png"]


@pytest.mark.parametrize("name", ["animation.gif", "float.tiff", "photo.heic", "raw.nef", "empty.jpg", "page.jpg"])
def test_photos_that_are_refused_leave_nothing_behind(tmp_path: Path, model, type_in, name):
    data, message = REFUSED[name]
    path = tmp_path / "a.jpg"  # by its content, whatever its name says
    path.write_bytes(data)
    ended = type_in("restore", path, "--model", model)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "damaged" not in ended.stderr
    assert list(tmp_path.iterdir()) == [path]
