"""Users' photos: reading, writing, and refusing."""

import resource
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from restorekit.errors import RestorekitError
from restorekit.image import Photo, read_image, to_float, to_uint8, write_image
from restorekit.rng import rng_for
from tests.image.conftest import LOSSLESS, SUFFIXES, adobe_rgb, photograph, pixels, save


def exif_block(orientation: int = 1, order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA001: 65535, 0xA002: 4000, 0xA003: 3000,
                                 0x927C: b"private notes of the maker"})  # fmt: skip
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x8769] = exif.get_ifd(0x8769)
    exif[0x8825] = exif.get_ifd(0x8825)
    return exif.tobytes()


def same_photo(one: Photo, other: Photo) -> bool:
    alphas = (one.alpha is None and other.alpha is None) or np.array_equal(one.alpha, other.alpha)
    return (
        np.array_equal(one.pixels, other.pixels)
        and alphas
        and one.grey == other.grey
        and one.bits == other.bits
        and one.pixels.dtype == other.pixels.dtype
    )


# Round trips


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reading_writing_and_reading_loses_nothing(tmp_path, suffix, channels, dtype):
    source = pixels(channels=channels, dtype=dtype)
    bits = 8 * np.dtype(dtype).itemsize
    colour = source if channels == 1 else (source[..., 0] if channels == 2 else source[..., :3])
    photo = Photo(
        pixels=np.repeat((colour if dtype == np.uint8 else to_float(colour))[..., None], 3, 2)
        if channels < 3
        else (colour if dtype == np.uint8 else to_float(colour)),
        alpha=None if channels in (1, 3) else (source if dtype == np.uint8 else to_float(source))[..., -1],
        grey=channels < 3,
        bits=bits,
        format="png",
        lossless=True,
        exif=exif_block(),
        icc=None,
    )
    path = tmp_path / f"photo{suffix}"
    write_image(path, photo)
    again = read_image(path)
    # Grey of 16 bits with alpha is written as RGB with alpha, which more programs read.
    assert same_photo(again, replace(photo, grey=False) if (channels, bits) == (2, 16) else photo)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_restored_pixels_replace_the_old_ones_and_keep_the_rest(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", photograph(), exif=exif_block(), quality=95)
    photo = read_image(path)
    restored = np.clip(to_float(photo.pixels) * 0.5 + 0.1, 0, 1)
    write_image(tmp_path / f"b{suffix}", photo.with_pixels(restored))
    again = read_image(tmp_path / f"b{suffix}")
    assert again.format == photo.format
    difference = np.abs(again.pixels.astype(int) - to_uint8(restored))
    assert difference.max() == 0 if suffix in LOSSLESS else difference.mean() < 3
    assert Image.open(tmp_path / f"b{suffix}").getexif()[0x010F] == "Maker"


def test_a_grey_jpeg_stays_grey_whatever_the_network_made_of_it(tmp_path):
    photo = read_image(save(tmp_path / "grey.jpg", photograph()[..., 1]))
    assert photo.grey
    assert np.array_equal(photo.pixels[..., 0], photo.pixels[..., 2])
    tinted = np.clip(to_float(photo.pixels) + np.array([0.02, 0, -0.02], np.float32), 0, 1)
    write_image(tmp_path / "out.jpg", photo.with_pixels(tinted))
    assert Image.open(tmp_path / "out.jpg").mode == "L"


def test_sixteen_bits_become_floats_and_are_not_cut_to_eight(tmp_path):
    ramp = np.repeat(np.arange(0, 65536, 97, dtype=np.uint16)[None, :, None], 3, axis=2).repeat(3, axis=0)
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    photo = read_image(tmp_path / "ramp.png")
    assert photo.pixels.dtype == np.float32
    assert len(np.unique(photo.pixels)) == ramp.shape[1]
    write_image(tmp_path / "out.tiff", photo)
    assert np.array_equal(cv2.imread(str(tmp_path / "out.tiff"), cv2.IMREAD_UNCHANGED), ramp)
    write_image(tmp_path / "out.jpg", photo)
    assert read_image(tmp_path / "out.jpg").bits == 8


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_becomes_its_colours(tmp_path, transparent):
    picture = Image.fromarray(photograph()).quantize(16)
    options = {"transparency": 3} if transparent else {}
    picture.save(tmp_path / "palette.png", **options)
    photo = read_image(tmp_path / "palette.png")
    assert np.array_equal(photo.pixels, np.asarray(picture.convert("RGB")))
    assert not photo.grey
    if transparent:
        assert np.array_equal(photo.alpha, np.where(np.asarray(picture) == 3, 0, 255))
    write_image(tmp_path / "out.png", photo)
    assert same_photo(read_image(tmp_path / "out.png"), photo)


def test_one_bit_and_transparent_colour_are_read(tmp_path):
    black_and_white = Image.fromarray(photograph()[..., 0]).convert("1")
    black_and_white.save(tmp_path / "fax.tiff")
    assert set(np.unique(read_image(tmp_path / "fax.tiff").pixels)) == {0, 255}
    array = photograph()
    save(tmp_path / "key.png", array, transparency=tuple(int(v) for v in array[0, 0]))
    assert read_image(tmp_path / "key.png").alpha[0, 0] == 0


@pytest.mark.parametrize("suffix", [".jpg", ".tiff"])
def test_cmyk_becomes_rgb_with_a_note(tmp_path, suffix):
    Image.fromarray(photograph()).convert("CMYK").save(tmp_path / f"print{suffix}", quality=95)
    photo = read_image(tmp_path / f"print{suffix}")
    assert np.abs(photo.pixels.astype(int) - photograph()).mean() < 4
    assert any("CMYK" in note for note in photo.notes)
    write_image(tmp_path / "out.jpg", photo)
    assert Image.open(tmp_path / "out.jpg").mode == "RGB"


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_where_it_was(tmp_path, lossless):
    save(tmp_path / "a.webp", photograph(), lossless=lossless)
    photo = read_image(tmp_path / "a.webp")
    assert photo.lossless == lossless
    write_image(tmp_path / "b.webp", photo)
    assert np.array_equal(read_image(tmp_path / "b.webp").pixels, photo.pixels) == lossless


def test_jpegs_are_written_without_chroma_subsampling(tmp_path):
    write_image(tmp_path / "out.jpg", read_image(save(tmp_path / "in.png", photograph())))
    with Image.open(tmp_path / "out.jpg") as picture:
        assert all(layer[1:3] == (1, 1) for layer in picture.layer)


def test_equal_photos_give_equal_files(tmp_path):
    photo = read_image(save(tmp_path / "in.png", photograph(), icc_profile=adobe_rgb()))
    for suffix in SUFFIXES:
        for name in "ab":
            write_image(tmp_path / f"{name}{suffix}", photo)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


# EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_orientation_is_applied_once_and_reset(tmp_path, orientation, suffix, order):
    array = photograph(64)[:48]
    path = save(tmp_path / f"a{suffix}", array, exif=exif_block(orientation, order), quality=100, subsampling=0)
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    photo = read_image(path)
    assert np.array_equal(photo.pixels, upright)
    write_image(tmp_path / f"b{suffix}", photo)
    with Image.open(tmp_path / f"b{suffix}") as picture:
        assert picture.getexif().get(0x0112, 1) == 1
        assert picture.size == (photo.width, photo.height)
    assert np.abs(read_image(tmp_path / f"b{suffix}").pixels.astype(int) - upright).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_tiffs_are_upright_too(tmp_path, orientation):
    array = pixels(dtype=np.uint16)
    photo = Photo(to_float(array), None, False, 16, "tiff", True, exif_block(orientation), None)
    write_image(tmp_path / "a.tiff", photo)
    save(tmp_path / "b.tiff", (array >> 8).astype(np.uint8), exif=exif_block(orientation))
    expected = to_uint8(to_float((array >> 8).astype(np.uint8)))
    upright = read_image(tmp_path / "b.tiff").pixels
    assert sorted(upright.shape) == sorted(expected.shape)
    assert np.abs(to_uint8(read_image(tmp_path / "a.tiff").pixels).astype(int) - upright).max() <= 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bits", [8, 16])
def test_exif_is_kept_but_for_what_no_longer_holds(tmp_path, suffix, bits):
    block = read_image(save(tmp_path / "a.jpg", photograph()[:48], exif=exif_block(6))).exif
    values = to_float(photograph()[:48]) if bits == 16 else photograph()[:48]
    write_image(tmp_path / f"b{suffix}", Photo(values, None, False, bits, "png", True, block, None))
    with Image.open(tmp_path / f"b{suffix}") as picture:
        exif = picture.getexif()
        nested = exif.get_ifd(0x8769)
        assert exif[0x010F] == "Maker"
        assert nested[0x9003] == "2024:05:06 07:08:09"
        assert nested[0x927C] == b"private notes of the maker"
        assert exif.get_ifd(0x8825)[1] == "N"
        assert nested[0xA001] == 1
        assert (nested[0xA002], nested[0xA003]) == (48, 64)  # as first read: upright


def test_a_thumbnail_of_the_old_picture_is_dropped(tmp_path):
    body = bytearray(exif_block()[6:])
    (count,) = struct.unpack_from("<H", body, 8)
    struct.pack_into("<I", body, 10 + 12 * count, len(body))  # the first directory's link to a second one
    thumbnail = struct.pack("<HHHII", 1, 0x0201, 4, 1, 99) + bytes(4)
    plain = read_image(save(tmp_path / "plain.jpg", photograph(), exif=exif_block()))
    photo = read_image(save(tmp_path / "a.jpg", photograph(), exif=b"Exif\x00\x00" + bytes(body) + thumbnail))
    assert photo.exif == plain.exif + thumbnail  # nothing moved, and nothing leads to the thumbnail


@pytest.mark.parametrize("block", [b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00"])
def test_damaged_exif_does_not_cost_the_photo(tmp_path, block):
    photo = read_image(save(tmp_path / "a.jpg", photograph(), exif=block))
    assert photo.exif is None
    write_image(tmp_path / "b.jpg", photo)


# Files that are refused


def damaged(tmp_path: Path) -> list[Path]:
    whole = {s: save(tmp_path / f"whole{s}", photograph(128), quality=95).read_bytes() for s in SUFFIXES}
    cases = {f"cut{s}": data[: len(data) * 2 // 3] for s, data in whole.items()}
    cases |= {f"head{s}": data[:20] for s, data in whole.items()}
    cases |= {"empty.jpg": b"", "text.png": b"this is no picture" * 10}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.png").mkdir()
    return [*(tmp_path / name for name in cases), tmp_path / "missing.jpg", tmp_path / "folder.png"]


def test_damaged_empty_and_missing_files_are_refused_by_name(tmp_path):
    for path in damaged(tmp_path):
        with pytest.raises(RestorekitError, match=path.name):
            read_image(path)


def refusal(path: Path) -> str | None:
    try:
        read_image(path)
    except RestorekitError as error:
        return str(error)
    return None


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bits", [8, 16])
def test_flipped_bytes_give_a_photo_or_a_clear_error(tmp_path, suffix, bits):
    values = to_float(photograph(48)) if bits == 16 else photograph(48)
    photo = Photo(values, None, False, bits, "png", True, exif_block(), adobe_rgb())
    write_image(tmp_path / f"a{suffix}", photo)
    whole = (tmp_path / f"a{suffix}").read_bytes()
    rng = rng_for(5, "flip", suffix, bits)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 400, 4):
            data[place] = rng.integers(256)
        (tmp_path / f"b{suffix}").write_bytes(data)
        assert f"b{suffix}" in (refusal(tmp_path / f"b{suffix}") or f"b{suffix}")


def test_a_small_file_with_a_huge_picture_is_refused(tmp_path):
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    for side in (13_400, 60_000):  # just above the limit, and far above it
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(data)
        with pytest.raises(RestorekitError, match=r"bomb\.png is too large"):
            read_image(tmp_path / "bomb.png")


def test_other_formats_and_floating_point_are_refused(tmp_path):
    save(tmp_path / "a.gif", photograph()[..., 0])
    with pytest.raises(RestorekitError, match=r"a\.gif is a GIF: save it as PNG"):
        read_image(tmp_path / "a.gif")
    save(tmp_path / "hdr.tiff", photograph()[..., 0].astype(np.float32))
    with pytest.raises(RestorekitError, match=r"8 or 16 bits"):
        read_image(tmp_path / "hdr.tiff")
    tifffile.imwrite(tmp_path / "hdr.tiff", photograph().astype(np.float32), photometric="rgb")  # unknown to Pillow
    with pytest.raises(RestorekitError, match=r"32-bit floating point: save it .* 8 or 16 bits"):
        read_image(tmp_path / "hdr.tiff")


@pytest.mark.parametrize("suffix", [".tiff", ".webp", ".png"])
def test_of_several_pages_the_first_is_taken_with_a_note(tmp_path, suffix):
    pages = [Image.fromarray(photograph()), Image.fromarray(255 - photograph())]
    pages[0].save(tmp_path / f"pages{suffix}", save_all=True, append_images=pages[1:], lossless=True)
    photo = read_image(tmp_path / f"pages{suffix}")
    assert np.array_equal(photo.pixels, photograph())
    assert any("2 pictures" in note for note in photo.notes)


# Writing


def photo_of(array: np.ndarray, alpha: np.ndarray | None = None) -> Photo:
    return Photo(array, alpha, False, 8, "png", True, None, None)


def test_a_jpeg_cannot_take_transparency_and_suffixes_are_checked(tmp_path):
    with pytest.raises(RestorekitError, match="transparency"):
        write_image(tmp_path / "a.jpg", photo_of(pixels(), pixels(channels=1)))
    for name in ("a.gif", "a"):
        with pytest.raises(RestorekitError, match="suffix"):
            write_image(tmp_path / name, photo_of(pixels()))
    assert not list(tmp_path.iterdir())


def test_a_picture_too_wide_for_the_format_is_refused(tmp_path):
    with pytest.raises(RestorekitError, match="20000 x 1"):
        write_image(tmp_path / "a.webp", photo_of(np.zeros((1, 20000, 3), np.uint8)))


def test_a_full_disk_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path):
    path = save(tmp_path / "photo.png", photograph())
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # the write fails after 1000 bytes
    try:
        with pytest.raises(RestorekitError, match=r"photo\.png cannot be written: File too large"):
            write_image(path, photo_of(pixels(200, 200)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]


def test_with_pixels_refuses_another_shape():
    with pytest.raises(ValueError, match="shape"):
        photo_of(pixels()).with_pixels(np.zeros((3, 3, 3), np.float32))
