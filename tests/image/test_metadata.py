"""Metadata besides the profile: kept through every format that can hold them, and named where one cannot."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restorekit.image import Photo, read_image, to_float, write_image
from restorekit.image.exif import upright_exif
from restorekit.image.keeping import left_behind
from restorekit.image.photo import Chunk
from restorekit.image.photoshop import iptc_of, kept_resources
from restorekit.image.png import chunks_of, extras_of_png, with_chunks
from restorekit.image.xmp import upright_xmp
from tests.image.conftest import (
    IPTC,
    MAKER_NOTE,
    PHOTOSHOP,
    SUFFIXES,
    XMP,
    jpeg_of,
    phone_exif,
    phone_jpeg,
    photograph,
    save,
    segment,
)

ALL = [*SUFFIXES, ".avif"]
UPRIGHT_XMP = (XMP % 1).replace(b'PixelXDimension="64"', b'PixelXDimension="48"')
WITHOUT = {  # what a format lacks of a phone's file, as a word of its note
    ".jpg": [],
    ".png": ["camera"],
    ".tiff": ["comment", "camera"],
    ".webp": ["IPTC", "comment", "resolution", "camera"],
    ".avif": ["IPTC", "comment", "resolution", "camera"],
}


@pytest.mark.parametrize("suffix", ALL)
def test_a_phone_photo_keeps_its_metadata_in_every_format(tmp_path, suffix):
    (tmp_path / "phone.jpg").write_bytes(phone_jpeg(orientation=6))
    photo = read_image(tmp_path / "phone.jpg")
    assert photo.notes == ()
    notes = left_behind(tmp_path / f"a{suffix}", photo)
    assert [word for word in ("IPTC", "comment", "resolution", "camera") if word in " ".join(notes)] == WITHOUT[suffix]
    write_image(tmp_path / f"a{suffix}", photo)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        exif = picture.getexif()
        assert exif.get(0x0112, 1) == 1
        assert (exif[0x010F], exif[0x0110], exif[0x011A]) == ("Maker", "Phone 7", 300)
        nested, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert (nested[0x927C], nested[0x9003], nested[0xA434]) == (MAKER_NOTE, "2024:05:06 07:08:09", "Lens 26 mm")
        assert (nested[0xA002], nested[0xA003]) == (48, 64)
        assert (place[1], tuple(map(float, place[2])), place[29]) == ("N", (48.0, 12.0, 30.5), "2024:05:06")
        assert picture.size == (48, 64)
    again = read_image(tmp_path / f"a{suffix}")
    assert again.extras.xmp == UPRIGHT_XMP
    assert again.extras.photoshop == (None if "IPTC" in WITHOUT[suffix] else PHOTOSHOP)
    assert again.extras.comment == (None if "comment" in WITHOUT[suffix] else b"seen from the jetty")
    for old in (b"old picture", b"old!"):  # neither thumbnail shows what was there before
        assert old not in (tmp_path / f"a{suffix}").read_bytes()


def test_from_jpeg_to_jpeg_only_what_became_wrong_is_changed(tmp_path):
    (tmp_path / "a.jpg").write_bytes(phone_jpeg(orientation=6))
    photo = read_image(tmp_path / "a.jpg")
    write_image(tmp_path / "b.jpg", photo)
    again = read_image(tmp_path / "b.jpg")
    assert (again.extras, again.exif) == (photo.extras, photo.exif)
    old = np.frombuffer(phone_exif(6, (64, 48)), np.uint8)[: len(photo.exif)]
    changed = np.flatnonzero(old != np.frombuffer(photo.exif, np.uint8))
    # Orientation, profile (two bytes), width, height, and the link to the thumbnail (two bytes).
    assert len(changed) <= 7
    assert photo.exif.index(MAKER_NOTE) == phone_exif(6, (64, 48)).index(MAKER_NOTE)  # its offsets stay right
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.info["dpi"] == (240, 240)


def test_a_thumbnail_amid_other_data_is_erased_in_its_place():
    block = phone_exif(1, (64, 48), thumbnail=b"\xff\xd8old picture") + b"behind"
    photo = io.BytesIO(jpeg_of(photograph(), segment(0xE1, block)))
    with Image.open(photo) as picture:
        kept = upright_exif(picture.info["exif"], 64, 64)
    assert kept.endswith(bytes(13) + b"behind")
    assert len(kept) == len(block)


# PNG


def test_texts_dates_and_resolution_of_a_png_stay(tmp_path):
    info = PngInfo()
    info.add_text("Title", "Lake")
    info.add_text("Author", "somebody " * 50, zip=True)
    info.add_itxt("Description", "Regen am See", "de", "Beschreibung")
    save(tmp_path / "a.png", photograph(), pnginfo=info, dpi=(300, 150))
    data = with_chunks((tmp_path / "a.png").read_bytes(), [Chunk(b"tIME", bytes([7, 232, 5, 6, 7, 8, 9]))])
    (tmp_path / "a.png").write_bytes(data)
    photo = read_image(tmp_path / "a.png")
    for bits in (8, 16):
        deep = Photo(to_float(photo.pixels), None, False, 16, "png", True, None, None, extras=photo.extras)
        write_image(tmp_path / "b.png", photo if bits == 8 else deep)
        names = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs")
        old, new = ([c for c in chunks_of(d) if c.name in names] for d in (data, (tmp_path / "b.png").read_bytes()))
        assert sorted(old, key=str) == sorted(new, key=str)
    [note] = [note for note in left_behind(tmp_path / "b.jpg", photo) if "texts" in note]
    assert "Author, Description, Title" in note
    write_image(tmp_path / "b.jpg", photo)
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.info["dpi"] == (300, 150)


def test_imagemagick_s_texts_of_exif_and_iptc_are_read(tmp_path):
    def raw(kind: bytes, block: bytes) -> Chunk:
        text = b"\n" + kind + b"\n%8d\n" % len(block) + block.hex().encode() + b"\n"
        return Chunk(b"zTXt", b"Raw profile type " + kind + b"\x00\x00" + zlib.compress(text))

    save(tmp_path / "a.png", photograph()[:48])
    plain = (tmp_path / "a.png").read_bytes()
    chunks = [raw(b"exif", phone_exif(6, (64, 48))), raw(b"iptc", PHOTOSHOP)]
    (tmp_path / "a.png").write_bytes(with_chunks(plain, chunks))
    photo = read_image(tmp_path / "a.png")
    assert photo.pixels.shape == (64, 48, 3)
    write_image(tmp_path / "b.png", photo)
    again = read_image(tmp_path / "b.png")
    assert np.array_equal(again.pixels, photo.pixels)  # turned once
    assert MAKER_NOTE in again.exif
    assert iptc_of(again.extras.photoshop) == IPTC


def test_a_text_that_would_fill_the_memory_is_not_unpacked_whole(tmp_path):
    save(tmp_path / "a.png", photograph())
    bomb = Chunk(b"zTXt", b"Raw profile type iptc\x00\x00" + zlib.compress(b"0" * 200_000_000))
    assert extras_of_png([bomb], 64, 64, True).photoshop is None


def test_exif_too_long_for_a_jpeg_is_named_and_left_out(tmp_path):
    block = phone_exif(1, (64, 64)) + bytes(70_000)
    photo = Photo(photograph(), None, False, 8, "png", True, block, None)
    assert any("EXIF" in note for note in left_behind(tmp_path / "a.jpg", photo))
    write_image(tmp_path / "a.jpg", photo)
    assert read_image(tmp_path / "a.jpg").exif is None
    assert left_behind(tmp_path / "a.png", photo) == []
    write_image(tmp_path / "a.png", photo)
    kept = read_image(tmp_path / "a.png").exif
    assert (len(kept), MAKER_NOTE in kept) == (len(block), True)


# TIFF


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("declared", ["bytes", "numbers"])
def test_xmp_iptc_and_resolution_of_a_tiff_stay(tmp_path, order, declared):
    padded = IPTC + bytes(-len(IPTC) % 4)
    iptc = (0x83BB, "B", len(IPTC), IPTC, True)
    if declared == "numbers":
        numbers = struct.unpack(f"{order}{len(padded) // 4}I", padded)
        iptc = (0x83BB, "I", len(numbers), numbers, True)
    tags = [(0x02BC, "B", len(XMP % 1), XMP % 1, True), iptc]
    tifffile.imwrite(
        tmp_path / "a.tiff", photograph(), photometric="rgb", byteorder=order, extratags=tags, resolution=(300, 200),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    photo = read_image(tmp_path / "a.tiff")
    for suffix in (".tiff", ".jpg"):
        write_image(tmp_path / f"b{suffix}", photo)
        again = read_image(tmp_path / f"b{suffix}")
        assert again.extras.xmp == XMP % 1
        assert iptc_of(again.extras.photoshop).rstrip(b"\x00") == IPTC.rstrip(b"\x00")
        with Image.open(tmp_path / f"b{suffix}") as picture:
            exif = picture.getexif()
            assert (exif[0x011A], exif[0x011B], exif[0x0128]) == (300, 200, 3)


def test_a_geotiff_says_that_its_place_is_lost(tmp_path):
    tags = [(0x830E, "d", 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "map.tiff", photograph(), photometric="rgb", extratags=tags)
    assert any("GeoTIFF" in note for note in read_image(tmp_path / "map.tiff").notes)


# Blocks


def test_iptc_longer_than_a_segment_is_split_and_joined(tmp_path):
    long = b"8BIM\x0f\xa0\x00\x00" + struct.pack(">I", 150_000) + bytes(150_000)
    first, rest = (PHOTOSHOP + long)[:65_000], (PHOTOSHOP + long)[65_000:]
    parts = [segment(0xED, b"Photoshop 3.0\x00" + part) for part in (first, rest[:65_000], rest[65_000:])]
    (tmp_path / "a.jpg").write_bytes(jpeg_of(photograph(), *parts))
    photo = read_image(tmp_path / "a.jpg")
    assert photo.extras.photoshop == PHOTOSHOP + long
    write_image(tmp_path / "b.jpg", photo)
    assert read_image(tmp_path / "b.jpg").extras.photoshop == PHOTOSHOP + long


def test_damaged_resources_give_those_before_the_damage():
    assert kept_resources(PHOTOSHOP + b"8BIM\x04\x04\x00\x00\xff\xff\xff\xff") == PHOTOSHOP
    assert kept_resources(b"garbage") is None


def test_xmp_loses_only_what_describes_other_pictures():
    packet = b"""<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"
 GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" xmp:Rating="5" tiff:ImageWidth="9" >
<tiff:Orientation>8</tiff:Orientation><tiff:ImageLength>7</tiff:ImageLength>
<hdrgm:GainMapMax><rdf:Seq/></hdrgm:GainMapMax><Container:Directory><rdf:Seq>items</rdf:Seq></Container:Directory>
<xmp:Thumbnails><rdf:Alt>old</rdf:Alt></xmp:Thumbnails></rdf:Description>"""
    assert (
        upright_xmp(packet, 30, 20)
        == b"""<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmp:Rating="5" tiff:ImageWidth="30" >
<tiff:Orientation>1</tiff:Orientation><tiff:ImageLength>20</tiff:ImageLength>

</rdf:Description>"""
    )
    damaged = b"<xmp:Thumbnails>" * 20_000 + b' hdrgm:Version="'
    assert upright_xmp(damaged, 30, 20) == damaged  # and comes back at once
