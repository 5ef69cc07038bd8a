"""Odd files: each is read with the right note or refused with a message that says what to do; none is half written."""

import io
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.image import Photo, check_format, read_image, to_float, to_uint8, write_image
from restorekit.image.keeping import left_behind
from restorekit.image.kinds import can_read_heic, webp_is_lossless
from restorekit.image.photo import Chunk
from restorekit.image.png import with_chunks
from tests.image.conftest import adobe_rgb, phone_exif, photograph, pixels, save


def png_sixteen(array: np.ndarray, *chunks: Chunk) -> bytes:
    """A PNG of uint16 (H, W) or (H, W, 3)."""
    height, width = array.shape[:2]
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if array.ndim == 2 else 2, 0, 0, 0)
    start = with_chunks(b"\x89PNG\r\n\x1a\n", [Chunk(b"IHDR", header)])
    return start + with_chunks(b"", [*chunks, Chunk(b"IDAT", zlib.compress(rows)), Chunk(b"IEND", b"")])


# Channels and transparency


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".avif"])
def test_grey_with_alpha(tmp_path, suffix):
    array = np.stack([photograph()[..., 1], photograph()[..., 0]], axis=2)
    save(tmp_path / "a.png", array)
    photo = read_image(tmp_path / "a.png")
    assert (photo.grey, photo.notes) == (True, ())
    assert np.array_equal(photo.alpha, array[..., 1])
    assert np.array_equal(photo.pixels, np.repeat(array[..., :1], 3, 2))
    write_image(tmp_path / f"b{suffix}", photo)
    again = read_image(tmp_path / f"b{suffix}")
    assert np.abs(again.alpha.astype(int) - photo.alpha).mean() <= (2 if suffix == ".avif" else 0)
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 3


def test_a_palette_with_several_transparencies(tmp_path):
    picture = Image.fromarray(photograph()).quantize(8)
    picture.save(tmp_path / "a.png", transparency=bytes([0, 50, 100, 150, 200, 250, 255, 255]))
    photo = read_image(tmp_path / "a.png")
    assert len(np.unique(photo.alpha)) > 4
    with pytest.raises(RestorekitError, match=r"holds no transparency.*take \.png"):
        check_format(tmp_path / "b.jpg", photo)


@pytest.mark.parametrize("colour", [False, True])
def test_the_transparent_colour_of_a_png_with_16_bits(tmp_path, colour):
    array = pixels(channels=3 if colour else 1, dtype=np.uint16)
    key = array[0, 0]
    array[5, 7] = key
    transparent = Chunk(b"tRNS", np.atleast_1d(key).astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png_sixteen(array, transparent))
    photo = read_image(tmp_path / "a.png")
    assert (photo.bits, photo.grey) == (16, not colour)
    expected = np.ones((37, 31), np.float32)
    expected[0, 0] = expected[5, 7] = 0
    assert np.array_equal(photo.alpha, expected)
    write_image(tmp_path / "b.png", photo)
    assert np.array_equal(read_image(tmp_path / "b.png").alpha, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_multiplied_by_their_alpha_are_divided_at_every_depth(tmp_path, dtype):
    top = np.iinfo(dtype).max
    alpha = np.linspace(0.2, 1, 63).reshape(7, 9)
    stored = np.rint(np.stack([0.8 * alpha, 0.4 * alpha, 0.1 * alpha, alpha], axis=2) * top).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tiff", stored, photometric="rgb", extrasamples=["assocalpha"])
    photo = read_image(tmp_path / "a.tiff")
    assert np.abs(to_float(photo.pixels) - np.float32([0.8, 0.4, 0.1])).max() < 0.02
    assert np.abs(to_float(photo.alpha) - alpha).max() < 0.01
    planes = np.ascontiguousarray(np.moveaxis(stored, 2, 0))
    tifffile.imwrite(
        tmp_path / "b.tiff", planes, photometric="rgb", extrasamples=["assocalpha"], planarconfig="separate"
    )
    with pytest.raises(RestorekitError, match=r"b\.tiff has colours multiplied by alpha in separate planes: save it"):
        read_image(tmp_path / "b.tiff")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_that_is_zero_at_every_depth(tmp_path, dtype):
    array = pixels(channels=1, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tiff", array, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tiff").pixels[..., 0], to_float(np.iinfo(dtype).max - array)
                          if dtype == np.uint16 else 255 - array)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_apart_at_every_depth(tmp_path, dtype):
    array = pixels(dtype=dtype)
    planes = np.ascontiguousarray(np.moveaxis(array, 2, 0))
    tifffile.imwrite(tmp_path / "a.tiff", planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "a.tiff").pixels, array if dtype == np.uint8 else to_float(array))


# WebP


@pytest.mark.parametrize(
    "container", [{}, {"exif": phone_exif(1, (64, 64))}, {"icc_profile": adobe_rgb()}, {"xmp": b"<x/>"}]
)
@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_stays_lossless_inside_every_container(tmp_path, lossless, container):
    save(tmp_path / "a.webp", photograph(), lossless=lossless, **container)
    photo = read_image(tmp_path / "a.webp")
    assert photo.lossless == lossless
    write_image(tmp_path / "b.webp", photo)
    again = read_image(tmp_path / "b.webp")
    assert again.lossless == lossless
    assert np.array_equal(again.pixels, photo.pixels) == lossless


def test_frames_of_a_webp_say_whether_they_are_lossless(tmp_path):
    frames = [Image.fromarray(photograph()), Image.fromarray(255 - photograph())]
    for lossless in (True, False):
        frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=lossless)
        assert webp_is_lossless((tmp_path / "a.webp").read_bytes()) == lossless
        [note] = read_image(tmp_path / "a.webp").notes
        assert "holds 2 pictures (frames of an animation); the first is taken" in note
    assert not webp_is_lossless(b"RIFF\x00\x00\x00\x00WEBPVP8X\xff\xff")


# Kinds that are not read, and wrong names


def tiff_of(kind: str) -> bytes:
    buffer = io.BytesIO()
    array = photograph().astype({"float": np.float32, "double": np.float64, "long": np.uint32}[kind])
    tifffile.imwrite(buffer, array, photometric="rgb")
    return buffer.getvalue()


def raw_file() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(photograph(), photometric="rgb", subfiletype=1, subifds=1)
        file.write(photograph(128), photometric="rgb")
    return buffer.getvalue()


def canon_raw_file() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, photograph(), photometric="rgb")
    data = bytearray(buffer.getvalue())
    (first,) = struct.unpack_from("<I", data, 4)
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, 4, len(data))  # the directory moves behind, to make room for the maker's letters
    data += data[first : first + 2 + 12 * count + 4]
    data[8:12] = b"CR\x02\x00"
    return bytes(data)


def animated_gif() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(photograph()[..., k]) for k in range(2)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64)
REFUSED = {
    "animation.gif": (animated_gif(), "is a GIF: save it as PNG"),
    "float.tiff": (tiff_of("float"), "samples of 32-bit floating point: save it as grey or RGB with 8 or 16 bits"),
    "double.tiff": (tiff_of("double"), "samples of 64-bit floating point"),
    "long.tiff": (tiff_of("long"), "samples of 32-bit integers"),
    "raw.nef": (raw_file(), "raw file: develop it"),
    "raw.cr2": (canon_raw_file(), "raw file: develop it"),
    "photo.heic": (HEIC, "is an HEIC picture: install `pip install pillow-heif`"),
    "photo.jpg": (HEIC, "is an HEIC picture: install"),
    "video.jpg": (b"\x00\x00\x00\x18ftypmp42" + bytes(64), "is a video"),
    "page.jpg": (b"<!DOCTYPE html><html>not found</html>", "is a web page, not a picture"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
    "empty.jpg": (b"", "is an empty file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_kinds_are_named_and_never_called_damaged(tmp_path, name):
    data, message = REFUSED[name]
    if data == HEIC and can_read_heic():
        pytest.skip("pillow-heif is installed, and reads HEIC")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RestorekitError) as refused:
        read_image(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert message in str(refused.value)
    assert "damaged" not in str(refused.value)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_a_wrong_name_is_noted_and_the_content_counts(tmp_path, form):
    Image.fromarray(photograph()).save(tmp_path / "a.jpg", form, quality=95)
    photo = read_image(tmp_path / "a.jpg")
    assert photo.format == form.lower()
    [note] = photo.notes
    assert "whatever its name says" in note
    write_image(tmp_path / "b.jpg", photo)
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.format == "JPEG"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_read_upright_with_its_metadata(tmp_path, orientation):
    block, array = phone_exif(orientation, (64, 48)), photograph()[:48]
    save(tmp_path / "a.avif", array, exif=block, icc_profile=adobe_rgb(), xmp=b"<x/>", quality=95)
    photo = read_image(tmp_path / "a.avif")
    assert photo.pixels.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    assert (photo.icc, photo.extras.xmp) == (adobe_rgb(), b"<x/>")
    write_image(tmp_path / "b.avif", photo)
    again = read_image(tmp_path / "b.avif")
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 4


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000)])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp", ".avif"])
def test_the_smallest_and_the_longest_pictures(tmp_path, size, suffix):
    photo = Photo(np.full((*size, 3), 77, np.uint8), None, False, 8, "png", True, None, None)
    if suffix == ".webp" and max(size) > 16383:
        with pytest.raises(RestorekitError, match="at most 16383 pixels a side"):
            write_image(tmp_path / f"a{suffix}", photo)
        assert not list(tmp_path.iterdir())
        return
    write_image(tmp_path / f"a{suffix}", photo)
    again = read_image(tmp_path / f"a{suffix}")
    assert again.notes == ()
    assert np.abs(again.pixels.astype(int) - 77).max() <= 2


def test_noise_that_no_jpeg_makes_smaller(tmp_path):
    photo = Photo(pixels(300, 300), None, False, 8, "png", True, None, None)
    write_image(tmp_path / "a.jpg", photo)
    assert np.abs(read_image(tmp_path / "a.jpg").pixels.astype(int) - photo.pixels).mean() < 4


def test_losses_of_depth_are_named_before_writing(tmp_path):
    photo = Photo(to_float(photograph()), None, False, 16, "png", True, None, None)
    assert left_behind(tmp_path / "a.png", photo) == left_behind(tmp_path / "a.tiff", photo) == []
    for suffix in (".jpg", ".webp", ".avif"):
        [note] = left_behind(tmp_path / f"a{suffix}", photo)
        assert "16 bits per channel" in note
        write_image(tmp_path / f"a{suffix}", photo)
        assert np.abs(read_image(tmp_path / f"a{suffix}").pixels.astype(int) - to_uint8(photo.pixels)).mean() < 4


# Files that the system does not give, and disks that fill


def test_a_file_that_may_not_be_read(tmp_path):
    path = save(tmp_path / "a.png", photograph())
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root reads everything: drop the privileges for the call
        tmp_path.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(RestorekitError, match=r"cannot be read: Permission denied"):
            read_image(path)
    finally:
        os.seteuid(user)


def test_a_link_to_itself(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(RestorekitError, match=r"a\.png cannot be read: Too many levels of symbolic links"):
        read_image(tmp_path / "a.png")


def test_a_process_killed_halfway_leaves_the_old_file(tmp_path):
    """The kernel kills the child at the thousandth byte that it writes."""
    path = save(tmp_path / "photo.png", photograph())
    before = path.read_bytes()
    script = """
import resource, signal, sys
from restorekit.image import read_image, write_image
from restorekit.rng import rng_for
photo = read_image(sys.argv[1])
noise = rng_for(0, "noise").integers(0, 256, photo.pixels.shape, dtype="uint8")
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_image(sys.argv[1], photo.with_pixels(noise))
"""
    root = str(Path(__file__).parents[2])
    killed = subprocess.run(
        [sys.executable, "-B", "-c", script, str(path)], env={**os.environ, "PYTHONPATH": root}, check=False
    )
    assert killed.returncode == -signal.SIGXFSZ
    assert path.read_bytes() == before
    [leftover] = [entry for entry in tmp_path.iterdir() if entry != path]
    assert leftover.suffix == ".part"
    write_image(path, read_image(path))  # the next run clears it away
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]


def test_a_full_disk_is_named(tmp_path):
    photo = Photo(pixels(200, 200), None, False, 8, "png", True, None, None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for suffix in (".jpg", ".tiff", ".webp", ".avif"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(RestorekitError, match=r"cannot be written: File too large"):
                write_image(tmp_path / f"a{suffix}", photo)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
