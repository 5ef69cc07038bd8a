"""JPEG files that are cut short, damaged, or hold more than one picture: read with a note, or refused by name."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from restorekit.errors import RestorekitError
from restorekit.image import read_image, write_image
from restorekit.image.jpeg import complete, is_damaged, layout_of
from restorekit.rng import rng_for
from tests.image.conftest import XMP, jpeg_of, phone_jpeg, photograph, pixels, segment

KINDS = {
    "plain": {"quality": 90},
    "fine": {"quality": 100, "subsampling": 0},
    "coarse": {"quality": 10},
    "optimised": {"quality": 85, "optimize": True},
    "progressive": {"quality": 85, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
}
PICTURES = {
    "photo": photograph(),
    "grey": photograph()[..., 1],
    "noise": pixels(61, 83),
    "white": np.full((70, 50, 3), 255, np.uint8),
    "black": np.zeros((70, 50), np.uint8),
    "one pixel": pixels(1, 1),
    "line": pixels(1, 300),
    "white below": np.concatenate([photograph(), np.full((64, 64, 3), 255, np.uint8)]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_whole_file_is_not_called_damaged(picture, kind):
    data = jpeg_of(PICTURES[picture], **KINDS[kind])
    layout = layout_of(data)
    assert (layout.ended, layout.end) == (True, len(data))
    with Image.open(io.BytesIO(data)) as opened:
        assert not is_damaged(data, layout, opened)


@pytest.mark.parametrize("seed", [7, 65, 237, 341, 389])  # found among 400
def test_a_whole_file_is_read_where_a_decoder_would_stop_at_other_data(tmp_path, seed):
    """The test for data that are left puts other data in; a decoder that stops at them says that they were needed."""
    rng = np.random.default_rng(seed)
    height, width = (int(rng.integers(16, 120)) for _ in range(2))
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = (smooth + rng.integers(-20, 21, smooth.shape)).clip(0, 255).astype(np.uint8)
    data = jpeg_of(noisy, quality=int(rng.integers(50, 98)), subsampling=int(rng.integers(0, 3)))
    (tmp_path / "whole.jpg").write_bytes(data)
    assert read_image(tmp_path / "whole.jpg").notes == ()


def test_a_cmyk_file_is_not_called_damaged():
    buffer = io.BytesIO()
    Image.fromarray(photograph()).convert("CMYK").save(buffer, "JPEG")
    with Image.open(buffer) as picture:
        assert not is_damaged(buffer.getvalue(), layout_of(buffer.getvalue()), picture)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "coarse"])
def test_a_file_without_its_end_marker_is_whole_and_one_without_more_is_refused(tmp_path, kind):
    data = jpeg_of(photograph(), **KINDS[kind])
    (tmp_path / "whole.jpg").write_bytes(data)
    expected = read_image(tmp_path / "whole.jpg")
    assert expected.notes == ()
    for missing in (1, 2):
        (tmp_path / "cut.jpg").write_bytes(data[:-missing])
        photo = read_image(tmp_path / "cut.jpg")
        assert np.array_equal(photo.pixels, expected.pixels)
        assert photo.notes == (f"{tmp_path / 'cut.jpg'} lacks its end, but no part of the picture is missing",)
    for share in (0.3, 0.6, 0.95):
        cut = data[: int(len(data) * share)]
        assert complete(cut, layout_of(cut)) is None
        (tmp_path / "cut.jpg").write_bytes(cut)
        with pytest.raises(RestorekitError, match=r"cut\.jpg is damaged or cut short"):
            read_image(tmp_path / "cut.jpg")


def test_most_damage_is_noted(tmp_path):
    """Holes of zeros in the coded data, as a bad disk makes them: those of which libjpeg itself warns, 29 of 40."""
    data = jpeg_of(photograph(256), quality=90)
    [(start, end)] = layout_of(data).runs
    rng = rng_for(3, "holes")
    found = 0
    for _ in range(40):
        place = int(rng.integers(start, end - 600))
        hole = int(rng.integers(4, 512))
        (tmp_path / "a.jpg").write_bytes(data[:place] + bytes(hole) + data[place + hole :])
        try:
            found += any("is damaged" in note for note in read_image(tmp_path / "a.jpg").notes)
        except RestorekitError:
            found += 1
    assert found >= 29


def test_damaged_markers_do_not_hide_the_rest():
    assert layout_of(b"\xff\xd8").segments == ()
    assert layout_of(b"\xff\xd8\xff\xe1\x00").ended is False
    junk = b"\xff\xd8" + b"\xff" * 200_000 + b"\x00"  # and comes back at once
    assert layout_of(junk).runs == ()


# Files with more than one picture

HDR = b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" xmp:Rating="3"/>'


def two_pictures(first: np.ndarray, second: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(first).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(second)], quality=95)
    return buffer.getvalue()


def test_of_two_pictures_the_first_is_taken_with_a_note(tmp_path):
    (tmp_path / "a.jpg").write_bytes(two_pictures(photograph(), 255 - photograph()))
    photo = read_image(tmp_path / "a.jpg")
    assert np.abs(photo.pixels.astype(int) - photograph()).mean() < 4
    [note] = photo.notes
    assert "holds 2 pictures; the first is taken" in note
    write_image(tmp_path / "b.jpg", photo)
    assert read_image(tmp_path / "b.jpg").notes == ()
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.format == "JPEG"


def test_a_gain_map_is_named_and_its_description_removed(tmp_path):
    data = two_pictures(photograph(), photograph()[::4, ::4])
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + HDR)
    (tmp_path / "a.jpg").write_bytes(data[:2] + xmp + data[2:])
    photo = read_image(tmp_path / "a.jpg")
    [note] = photo.notes
    assert "gain map" in note
    write_image(tmp_path / "b.jpg", photo)
    assert b"hdrgm:Version" not in (tmp_path / "b.jpg").read_bytes()
    assert b'xmp:Rating="3"' in (tmp_path / "b.jpg").read_bytes()
    assert read_image(tmp_path / "b.jpg").notes == ()


def test_a_video_behind_the_picture_and_a_signature_are_named(tmp_path):
    data = jpeg_of(photograph(), segment(0xEB, b"JP\x00\x01\x00\x00\x00\x01c2pa"))
    (tmp_path / "a.jpg").write_bytes(data + b"\x00\x00\x00\x18ftypmp42" + bytes(range(200)))
    notes = " ".join(read_image(tmp_path / "a.jpg").notes)
    assert "holds 212 bytes behind the picture" in notes
    assert "signed" in notes


def test_extended_xmp_stays_in_a_jpeg(tmp_path):
    more = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\x00" + b"0" * 32 + bytes(8) + b"<depth/>")
    (tmp_path / "a.jpg").write_bytes(jpeg_of(photograph(), more))
    write_image(tmp_path / "b.jpg", read_image(tmp_path / "a.jpg"))
    assert more in (tmp_path / "b.jpg").read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_s_photo_is_upright_once(tmp_path, orientation):
    (tmp_path / "a.jpg").write_bytes(phone_jpeg(orientation))
    with Image.open(tmp_path / "a.jpg") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    photo = read_image(tmp_path / "a.jpg")
    assert np.array_equal(photo.pixels, expected)
    assert photo.extras.xmp == (XMP % 1).replace(b'Dimension="64"', b'Dimension="%d"' % photo.width)
    write_image(tmp_path / "b.jpg", photo)
    assert read_image(tmp_path / "b.jpg").pixels.shape == expected.shape
