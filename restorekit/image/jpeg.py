"""The segments of a JPEG file: found, put into another file, and its coded data checked for damage."""

import io
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image

from restorekit.image.photo import Extras, Resolution, Segment, Unit
from restorekit.image.photoshop import kept_resources
from restorekit.image.xmp import describes_gain_map, upright_xmp

_SOI, _EOI, _SOS, _COMMENT = b"\xff\xd8", 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP11, _APP13 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"
_EXIF, _PHOTOSHOP, _JFIF = b"Exif\x00\x00", b"Photoshop 3.0\x00", b"JFIF\x00"
_GAIN_MAP = (b"urn:iso:std:iso:ts:21496:-1", b"urn:com:apple:photo:2020:aux:hdrgainmap")

# Application segments that makers of cameras define for themselves. The others describe the stored pixels (APP2 with
# pages of a profile or an index of pictures, APP8, APP14) or sign them (APP11), or are read into fields of their own.
_MAKERS = {0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE9, 0xEA, 0xEC, 0xEF}
_LONGEST = 65533  # bytes of a segment's content

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # markers without content: TEM and the restarts
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: coded by Huffman
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # frames of which the coded data end differently
_JUNK = bytes.fromhex("5aa53cc396695a3ca5c3693c5a96c3a5")


@dataclass(frozen=True)
class Layout:
    """Where the parts of a JPEG's first picture lie in its file."""

    segments: tuple[Segment, ...]
    runs: tuple[tuple[int, int], ...]  # start and end of the coded data between two markers
    end: int  # behind the end marker, or the file's length where there is none
    ended: bool  # whether there is an end marker


def layout_of(data: bytes) -> Layout:
    """The layout of a file that starts with a JPEG; damaged files give the parts that are found."""
    segments: list[Segment] = []
    runs: list[tuple[int, int]] = []
    place = len(_SOI)
    while (found := _MARKER.search(data, place)) is not None:
        marker, place = data[found.start() + 1], found.end()
        if marker == _EOI:
            return Layout(tuple(segments), tuple(runs), place, True)
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(data[place : place + 2], "big")
        segments.append(Segment(marker, data[place + 2 : place + length]))
        place += max(2, length)
        if marker == _SOS:
            place = _coded_data(data, place, runs)
    return Layout(tuple(segments), tuple(runs), len(data), False)


def _coded_data(data: bytes, place: int, runs: list[tuple[int, int]]) -> int:
    """Appends the runs of a scan, and returns the place of the marker behind it."""
    for found in _MARKER.finditer(data, place):
        runs.append((place, found.start()))
        if data[found.start() + 1] not in _STANDALONE:
            return found.start()
        place = found.end()
    runs.append((place, len(data)))
    return len(data)


def complete(data: bytes, layout: Layout) -> bytes | None:
    """The file with an end marker where only that is missing; None where coded data are missing too."""
    ended = data.removesuffix(b"\xff") + b"\xff\xd9"
    seen = _checksum_of(ended)
    if seen is None or _scans_are_missing(layout) or _data_ran_out(ended, layout_of(ended), seen):
        return None
    return ended


def is_damaged(data: bytes, layout: Layout, picture: Image.Image) -> bool:
    """Whether the coded data of a decodable JPEG end before its picture does, or go on behind the picture's end.

    Both follow from most kinds of damage, since each code's place depends on all codes before. libjpeg then makes up
    pixels or skips data; it warns, but Pillow does not pass its warnings on. Damage between two restart markers goes on
    only to the second one. `picture` is the file's, loaded. It takes two more decodings.
    """
    seen = zlib.crc32(picture.tobytes())
    return _scans_are_missing(layout) or _data_ran_out(data, layout, seen) or _data_are_left(data, layout, seen)


def _scans_are_missing(layout: Layout) -> bool:
    """Whether no scan holds the last bit of some coefficient of a channel (ITU-T T.81, B.2.3 and G.1.1.1)."""
    channels: set[int] = set()
    found: dict[int, set[int]] = {}
    for segment in layout.segments:
        content = segment.content
        if segment.marker in _FRAMES:
            channels = {content[place] for place in range(6, len(content) - 2, 3)}
        elif segment.marker == _SOS and len(content) >= 6 and content[-1] & 0x0F == 0:
            for place in range(1, len(content) - 3, 2):
                found.setdefault(content[place], set()).update(range(content[-3], content[-2] + 1))
    return any(len(found.get(channel, ())) < 64 for channel in channels)


def _data_ran_out(data: bytes, layout: Layout, seen: int) -> bool:
    """Whether data put behind those of each run change the picture: a decoder that has all it needs skips them."""
    if not layout.runs or any(segment.marker in _ARITHMETIC for segment in layout.segments):
        return False
    pieces, place = [], 0
    for _, end in layout.runs:
        pieces += [data[place:end].rstrip(b"\xff"), _JUNK]
        place = end
    return _checksum_of(b"".join([*pieces, data[place : layout.end]])) != seen


def _data_are_left(data: bytes, layout: Layout, seen: int) -> bool:
    """Whether other data in the last bytes of the last run leave the picture as it is."""
    start, end = layout.runs[-1] if layout.runs else (0, 0)
    end = start + len(data[start:end].rstrip(b"\xff"))
    if end - start < 4 * len(_JUNK) or any(segment.marker in _ARITHMETIC for segment in layout.segments):
        return False
    return _checksum_of(data[: end - len(_JUNK)] + _JUNK + data[end : layout.end]) == seen


def _checksum_of(data: bytes) -> int | None:
    """The checksum of the pixels; None, which equals that of no picture, where the decoder stops at an error."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            return zlib.crc32(picture.tobytes())
    except OSError:
        return None


def extras_of_jpeg(layout: Layout, width: int, height: int) -> Extras:
    """The metadata of a JPEG besides EXIF and profile, made to fit an upright picture of `width` x `height` pixels."""
    xmp = comment = resolution = None
    kept: list[Segment] = []
    resources = b""
    for segment in layout.segments:
        marker, content = segment.marker, segment.content
        if marker == _APP1 and content.startswith(_XMP):
            xmp = upright_xmp(content.removeprefix(_XMP), width, height)
        elif marker in _MAKERS or (marker == _APP1 and content.startswith(_MORE_XMP)):
            kept.append(segment)
        elif marker == _APP13 and content.startswith(_PHOTOSHOP):
            resources += content.removeprefix(_PHOTOSHOP)
        elif marker == _COMMENT:
            comment = content
        elif marker == _APP0 and content.startswith(_JFIF) and len(content) >= 12:
            resolution = _resolution(content)
    return Extras(xmp, kept_resources(resources), resolution, comment, segments=tuple(kept))


def _resolution(jfif: bytes) -> Resolution | None:
    units: dict[int, Unit] = {1: "inch", 2: "cm"}
    unit = units.get(jfif[7])
    x, y = int.from_bytes(jfif[8:10], "big"), int.from_bytes(jfif[10:12], "big")
    return Resolution(x, y, unit) if unit and x and y else None


def notes_on_jpeg(data: bytes, layout: Layout, num_pictures: int) -> list[str]:
    """Sentences about the parts of a JPEG that no restored photo can have."""
    notes = []
    behind = data[layout.end :].rstrip(b"\x00")
    packets = [segment.content for segment in layout.segments if segment.content.startswith(_XMP)]
    gain_map = any(describes_gain_map(packet) for packet in packets) or any(name in data for name in _GAIN_MAP)
    if gain_map:
        notes.append("has an HDR gain map, which fits only the old pixels; it is left out")
    if num_pictures - gain_map > 1:
        notes.append(f"holds {num_pictures} pictures; the first is taken, and the others are left out")
    elif behind and num_pictures == 1 and not gain_map:
        notes.append(f"holds {len(behind)} bytes behind the picture, such as a short video; they are left out")
    if any(segment.marker == _APP11 for segment in layout.segments):
        notes.append("is signed (content credentials); the signature does not fit new pixels, and is left out")
    return notes


def with_extras(jpeg: bytes, extras: Extras, exif: bytes | None) -> bytes:
    """A JPEG file as Pillow writes it, with its JFIF segment first, with metadata behind that segment."""
    blocks: list[Segment] = []
    if exif and fits_jpeg(exif):
        blocks.append(Segment(_APP1, _EXIF + exif.removeprefix(_EXIF)))
    if extras.xmp and fits_jpeg(_XMP + extras.xmp):
        blocks.append(Segment(_APP1, _XMP + extras.xmp))
    blocks += extras.segments
    step = _LONGEST - len(_PHOTOSHOP)
    resources = extras.photoshop or b""
    blocks += [
        Segment(_APP13, _PHOTOSHOP + resources[start : start + step]) for start in range(0, len(resources), step)
    ]
    if extras.comment and fits_jpeg(extras.comment):
        blocks.append(Segment(_COMMENT, extras.comment))
    length = int.from_bytes(jpeg[4:6], "big")
    jfif, rest = bytearray(jpeg[: 4 + length]), jpeg[4 + length :]
    if extras.resolution:
        unit: Unit = "cm" if extras.resolution.unit == "cm" else "inch"
        x, y = extras.resolution.rounded(unit, 65535)
        jfif[13:18] = bytes([2 if unit == "cm" else 1]) + x.to_bytes(2, "big") + y.to_bytes(2, "big")
    return bytes(jfif) + _joined(blocks) + rest


def fits_jpeg(content: bytes) -> bool:
    """Whether a block of metadata fits into one segment of a JPEG."""
    return len(content) <= _LONGEST


def _joined(blocks: Iterable[Segment]) -> bytes:
    return b"".join(
        bytes([0xFF, block.marker]) + (len(block.content) + 2).to_bytes(2, "big") + block.content for block in blocks
    )
