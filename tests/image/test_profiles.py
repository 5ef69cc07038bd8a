"""Colour profiles: other colours are converted to sRGB at 8 and 16 bits, and unusable profiles are noted."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from restorekit.errors import RestorekitError
from restorekit.image import Photo, read_image, to_float, to_uint8, write_image
from restorekit.image.colour import leads_back, pixels_to_srgb, srgb_profile
from tests.image.conftest import LOSSLESS, SUFFIXES, adobe_rgb, icc, photograph, save


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_srgb_photos_are_not_changed_by_a_bit(tmp_path, suffix):
    plain = read_image(save(tmp_path / f"plain{suffix}", photograph(), quality=95))
    tagged = read_image(save(tmp_path / f"tagged{suffix}", photograph(), quality=95, icc_profile=srgb_profile()))
    assert np.array_equal(plain.pixels, tagged.pixels)
    write_image(tmp_path / f"out{suffix}", tagged)
    with Image.open(tmp_path / f"out{suffix}") as picture:
        assert picture.info["icc_profile"] == srgb_profile()
    write_image(tmp_path / f"out2{suffix}", plain)
    with Image.open(tmp_path / f"out2{suffix}") as picture:
        assert "icc_profile" not in picture.info


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_profile_is_converted_and_recorded(tmp_path, suffix):
    path = save(tmp_path / f"wide{suffix}", photograph(), icc_profile=adobe_rgb(), quality=95, lossless=True)
    photo = read_image(path)
    assert photo.icc == adobe_rgb()
    with Image.open(path) as picture:
        converted = ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(io.BytesIO(adobe_rgb())), ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )  # fmt: skip
    assert np.abs(photo.pixels.astype(int) - np.asarray(converted)).max() <= 1
    assert np.abs(photo.pixels.astype(int) - photograph()).max() > 5
    write_image(tmp_path / f"out{suffix}", photo)
    with Image.open(tmp_path / f"out{suffix}") as picture:
        assert picture.info["icc_profile"] == adobe_rgb()
        if suffix != ".jpg":  # lossless: unchanged pixels come back to the bit, also those outside sRGB
            assert np.array_equal(np.asarray(picture), photograph())
    assert np.abs(read_image(tmp_path / f"out{suffix}").pixels.astype(int) - photo.pixels).mean() < 5


@pytest.mark.parametrize("bits", [8, 16])
def test_changed_pixels_go_back_to_the_photo_s_profile(tmp_path, bits):
    save(tmp_path / "a.tiff", photograph(), icc_profile=adobe_rgb())
    if bits == 16:
        deep = photograph().astype(np.uint16) * 257
        tifffile.imwrite(tmp_path / "a.tiff", deep, photometric="rgb", iccprofile=adobe_rgb())
    photo = read_image(tmp_path / "a.tiff")
    assert photo.notes == ()
    restored = to_float(photo.pixels).copy()
    restored[:32] = np.clip(restored[:32] * 0.8 + 0.05, 0, 1)
    write_image(tmp_path / "b.tiff", photo.with_pixels(restored))
    stored = tifffile.imread(tmp_path / "b.tiff")
    assert np.array_equal(stored[32:], photograph()[32:] if bits == 8 else deep[32:])
    seen = to_float(read_image(tmp_path / "b.tiff").pixels)
    inside = (photo.pixels > 0).all(axis=2) & (to_float(photo.pixels) < 1).all(axis=2)  # clipped colours stay outside
    assert np.abs(seen - restored)[:32][inside[:32]].max() < 4 / 255
    assert np.abs(seen - restored)[:32][inside[:32]].mean() < 1 / 255


def test_a_profile_of_tables_becomes_srgb_with_a_note(tmp_path):
    tables = icc(b"mntr", b"RGB ", [*tags_of(adobe_rgb()), (b"A2B0", b"mft1" + bytes(44))])
    assert leads_back(adobe_rgb())
    assert not leads_back(tables)
    deep = to_float(photograph())
    tifffile.imwrite(tmp_path / "a.tiff", photograph().astype(np.uint16) * 257, photometric="rgb", iccprofile=tables)
    photo = read_image(tmp_path / "a.tiff")
    assert any("sRGB" in note for note in photo.notes)
    assert np.abs(photo.pixels - deep).max() > 5 / 255
    write_image(tmp_path / "b.tiff", photo)
    with Image.open(tmp_path / "b.tiff") as picture:
        assert picture.info["icc_profile"] == srgb_profile()


def tags_of(profile: bytes) -> list[tuple[bytes, bytes]]:
    (count,) = struct.unpack_from(">I", profile, 128)
    places = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(count)]
    return [(name, profile[start : start + length]) for name, start, length in places]


def test_sixteen_bit_colour_agrees_with_littlecms(tmp_path):
    array = photograph()
    save(tmp_path / "wide.png", array, icc_profile=adobe_rgb())
    eight = read_image(tmp_path / "wide.png").pixels.astype(int)
    sixteen = pixels_to_srgb(to_float(array), adobe_rgb())
    assert np.abs(to_uint8(sixteen).astype(int) - eight).max() <= 1


def test_sixteen_bit_photos_with_a_profile_are_converted_and_written_as_srgb(tmp_path):
    source = Photo(to_float(photograph()), None, False, 16, "png", True, None, srgb_profile())
    for suffix in LOSSLESS:
        write_image(tmp_path / f"a{suffix}", source)
        data = (tmp_path / f"a{suffix}").read_bytes()
        if suffix == ".png":
            old = data[33 : 33 + 12 + struct.unpack_from(">I", data, 33)[0]]
            content = b"wide\x00\x00" + zlib.compress(adobe_rgb())
            new = struct.pack(">I", len(content)) + b"iCCP" + content
            data = data.replace(old, new + struct.pack(">I", zlib.crc32(b"iCCP" + content)))
            (tmp_path / "wide.png").write_bytes(data)
            photo = read_image(tmp_path / "wide.png")
            assert np.abs(to_uint8(photo.pixels).astype(int) - photograph()).max() > 5
        write_image(tmp_path / f"b{suffix}", read_image(tmp_path / f"a{suffix}"))
        with Image.open(tmp_path / f"b{suffix}") as picture:
            assert picture.info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize("profile", [b"garbage", adobe_rgb()[:200], icc(b"mntr", b"CMYK", [])])
@pytest.mark.parametrize("bits", [8, 16])
def test_an_unusable_profile_is_noted_and_taken_as_srgb(tmp_path, profile, bits):
    if bits == 8:
        save(tmp_path / "a.png", photograph(), icc_profile=profile)
        photo = read_image(tmp_path / "a.png")
        assert np.array_equal(photo.pixels, photograph())
        assert any("profile" in note for note in photo.notes)
    else:
        with pytest.raises(RestorekitError, match="profile"):
            pixels_to_srgb(to_float(photograph()), profile)


def test_a_grey_profile_is_converted(tmp_path):
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, 461, 0)  # gamma 1.8
    white = (b"wtpt", b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061))
    profile = icc(b"mntr", b"GRAY", [(b"kTRC", curve), white])
    save(tmp_path / "grey.png", photograph()[..., 0], icc_profile=profile)
    eight = read_image(tmp_path / "grey.png")
    assert eight.grey
    assert eight.pixels.mean() > photograph()[..., 0].mean() + 2
    sixteen = pixels_to_srgb(to_float(np.repeat(photograph()[..., :1], 3, 2)), profile)
    assert np.abs(to_uint8(sixteen).astype(int) - eight.pixels).max() <= 1
