"""Colours that files state by numbers: converted, or kept with the numbers, and never dropped without a word."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from restorekit.image import read_image, to_float, to_uint8, write_image
from restorekit.image.colour import pixels_to_srgb
from restorekit.image.keeping import left_behind
from restorekit.image.photo import Chunk
from restorekit.image.png import chunks_of, content_of, with_chunks
from restorekit.image.stated_colour import stated_in_avif, stated_in_png
from tests.image.conftest import photograph, save
from tests.image.test_odd_files import png_sixteen

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def gamma(value: float) -> Chunk:
    return Chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def places(values: tuple[float, ...]) -> Chunk:
    return Chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def with_colour(path, array, *chunks):
    save(path, array)
    path.write_bytes(with_chunks(path.read_bytes(), chunks))
    return path


@pytest.mark.parametrize(
    "chunks", [[gamma(0.45455)], [gamma(0.45455), places(SRGB)], [Chunk(b"sRGB", b"\x00"), gamma(1)]]
)
def test_usual_statements_change_no_pixel_and_stay(tmp_path, chunks):
    photo = read_image(with_colour(tmp_path / "a.png", photograph(), *chunks))
    assert np.array_equal(photo.pixels, photograph())
    assert photo.notes == ()
    write_image(tmp_path / "b.png", photo)
    kept = chunks_of((tmp_path / "b.png").read_bytes())
    assert [chunk for chunk in kept if chunk.name in (b"gAMA", b"cHRM", b"sRGB")] == chunks


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
def test_linear_pixels_become_srgb(tmp_path, bits, grey):
    array = photograph()[..., 1] if grey else photograph()
    if bits == 8:
        with_colour(tmp_path / "a.png", array, gamma(1.0))
    else:
        (tmp_path / "a.png").write_bytes(png_sixteen(array.astype(np.uint16) * 257, gamma(1.0)))
    photo = read_image(tmp_path / "a.png")
    linear = np.repeat(array[..., None], 3, 2) / 255 if grey else array / 255
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(to_float(photo.pixels) - expected).max() < 2 / 255
    [note] = photo.notes
    assert "states a gamma of 1; its colours become sRGB" in note
    write_image(tmp_path / "b.png", photo)
    again = read_image(tmp_path / "b.png")
    assert np.abs(to_float(again.pixels) - to_float(photo.pixels)).max() < 1 / 65535  # converted once
    assert content_of(chunks_of((tmp_path / "b.png").read_bytes()), b"gAMA") is None


def test_primaries_are_converted_like_the_profile_of_the_same_colours(tmp_path):
    photo = read_image(with_colour(tmp_path / "a.png", photograph(), gamma(1 / 2.2), places(ADOBE)))
    difference = np.abs(photo.pixels.astype(int) - photograph())
    assert difference.max() > 10
    grey = (np.ptp(photograph().astype(int), axis=2) <= 2) & (photograph().mean(axis=2) > 100)
    assert difference[grey].max() <= 4  # white stays white


def test_display_p3_by_code_points_agrees_with_littlecms(tmp_path):
    chunk = Chunk(b"cICP", bytes([12, 13, 0, 1]))
    photo = read_image(with_colour(tmp_path / "a.png", photograph(), chunk))
    assert "12/13" in photo.notes[0]
    profile = stated_in_png([chunk], grey=False).profile
    assert "stated" in ImageCms.getProfileDescription(photo_profile(profile))
    exact = to_uint8(pixels_to_srgb(to_float(photograph()), profile))
    assert np.abs(photo.pixels.astype(int) - exact).max() <= 1
    assert np.abs(photo.pixels.astype(int) - photograph()).max() > 5


def photo_profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@pytest.mark.parametrize("curve", [16, 18])
@pytest.mark.parametrize("bits", [8, 16])
def test_hdr_of_a_png_stays_hdr_and_elsewhere_is_noted(tmp_path, bits, curve):
    points, light = Chunk(b"cICP", bytes([9, curve, 0, 1])), Chunk(b"cLLI", struct.pack(">2I", 10_000_000, 4_000_000))
    if bits == 8:
        with_colour(tmp_path / "a.png", photograph(), points, light)
    else:
        (tmp_path / "a.png").write_bytes(png_sixteen(photograph().astype(np.uint16) * 257, points, light))
    photo = read_image(tmp_path / "a.png")
    assert np.array_equal(to_uint8(photo.pixels), photograph())
    assert "is HDR" in photo.notes[0]
    assert left_behind(tmp_path / "b.png", photo) == []
    write_image(tmp_path / "b.png", photo)
    kept = chunks_of((tmp_path / "b.png").read_bytes())
    assert [chunk for chunk in kept if chunk.name in (b"cICP", b"cLLI")] == [points, light]
    assert any("HDR" in note for note in left_behind(tmp_path / "b.jpg", photo))


def test_code_points_of_an_avif_are_read():
    def box(primaries: int, curve: int) -> bytes:
        return b"\x00\x00\x00\x13colrnclx" + struct.pack(">HHHB", primaries, curve, 1, 0x80)

    assert stated_in_avif(box(1, 13), grey=False).note is None
    assert "PQ" in stated_in_avif(box(9, 16), grey=False).note
    assert stated_in_avif(box(12, 13), grey=False).profile is not None
    assert "99/1" in stated_in_avif(box(99, 1), grey=False).note
    assert stated_in_avif(b"colrnclx", grey=False).note is None


def test_an_avif_of_pillow_is_taken_as_srgb(tmp_path):
    Image.fromarray(photograph()).save(tmp_path / "a.avif", quality=95)
    assert read_image(tmp_path / "a.avif").notes == ()


@pytest.mark.parametrize("chunks", [
    [gamma(0)], [gamma(0.5), places((0.0,) * 8)], [gamma(0.5), places((0.3, 0.3) * 4)],
    [Chunk(b"cICP", b"x")], [Chunk(b"cICP", b"\x63\x63\x63\x63")],
])  # fmt: skip
def test_impossible_statements_cost_nothing(tmp_path, chunks):
    photo = read_image(with_colour(tmp_path / "a.png", photograph(), *chunks))
    assert photo.pixels.shape == (64, 64, 3)
    write_image(tmp_path / "b.png", photo)
    assert np.array_equal(read_image(tmp_path / "b.png").pixels, photo.pixels)
