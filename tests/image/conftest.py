"""Photographs, colour profiles and a phone's file for the tests of reading and writing."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.data import astronaut

from restorekit.rng import rng_for

SUFFIXES = [".jpg", ".png", ".webp", ".tiff"]
LOSSLESS = [".png", ".tiff"]


def pixels(height: int = 37, width: int = 31, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return rng_for(0, "photos").integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def photograph(size: int = 64) -> np.ndarray:
    return cv2.resize(astronaut(), (size, size), interpolation=cv2.INTER_AREA)


def adobe_rgb(gamma: float = 563 / 256) -> bytes:
    """An ICC profile with Adobe RGB's primaries: header, tag table, three columns and one curve."""
    columns = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
    blocks = [(n, b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in column)))
              for n, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)]  # fmt: skip
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)
    blocks += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    blocks.append((b"wtpt", b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)))
    text = b"wide test profile\x00"
    blocks.append((b"desc", (b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)).ljust(112, b"\x00")))
    return icc(b"mntr", b"RGB ", blocks)


def icc(kind: bytes, space: bytes, blocks: list[tuple[bytes, bytes]]) -> bytes:
    start = 132 + 12 * len(blocks)
    table, body = struct.pack(">I", len(blocks)), b""
    for name, block in blocks:
        table += name + struct.pack(">II", start + len(body), len(block))
        body += block
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:12], header[12:16], header[16:20] = b"\x02\x10\x00\x00", kind, space
    header[20:24], header[36:40] = b"XYZ ", b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(header) + table + body


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


# What a phone, an editor and a photo manager write into one file.

MAKER_NOTE = b"MAKER\x00\x02\x00" + bytes(range(256))
IPTC = b"".join(
    b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text
    for number, text in ((5, b"Lake"), (25, b"holiday"), (25, b"rain"), (116, b"(c) somebody"))
)
PHOTOSHOP = (
    b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    + b"8BIM\x07\xd0\x05path1" + struct.pack(">I", 4) + b"clip"
)  # fmt: skip
PREVIEW = b"8BIM\x04\x0c\x00\x00" + struct.pack(">I", 28 + 6) + bytes(28) + b"\xff\xd8old!"
XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmp:Rating="4" tiff:Orientation="%d" exif:PixelXDimension="64">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Lake in the rain</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>rain</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def phone_exif(orientation: int, size: tuple[int, int], thumbnail: bytes = b"\xff\xd8old picture\xff\xd9") -> bytes:
    """EXIF with date, place, lens and a maker's note, and a second directory with a thumbnail."""
    exif = Image.Exif()
    exif.endian = "<"
    exif[0x0112], exif[0x010F], exif[0x0110], exif[0x0132] = orientation, "Maker", "Phone 7", "2024:05:06 07:08:09"
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 300.0, 2
    nested = {
        0x9003: "2024:05:06 07:08:09", 0x9011: "+02:00", 0xA001: 65535, 0xA002: size[0], 0xA003: size[1],
        0x829A: 0.008, 0xA434: "Lens 26 mm", 0x927C: MAKER_NOTE,
    }  # fmt: skip
    place = {1: "N", 2: (48.0, 12.0, 30.5), 3: "E", 4: (11.0, 34.0, 12.0), 29: "2024:05:06"}
    for tag, directory in ((0x8769, nested), (0x8825, place)):
        exif.get_ifd(tag).update(directory)
        exif[tag] = exif.get_ifd(tag)
    body = bytearray(exif.tobytes()[6:])
    body += bytes(len(body) % 2)
    (count,) = struct.unpack_from("<H", body, 8)
    struct.pack_into("<I", body, 10 + 12 * count, len(body))  # the link to the second directory
    start = len(body) + 2 + 2 * 12 + 4
    entries = struct.pack("<HHII", 0x0201, 4, 1, start) + struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail))
    return b"Exif\x00\x00" + bytes(body) + struct.pack("<H", 2) + entries + bytes(4) + thumbnail


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_of(array: np.ndarray, *segments: bytes, **options: object) -> bytes:
    """A JPEG file with segments behind its first one."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", **{"quality": 95, **options})
    data = buffer.getvalue()
    place = 4 + int.from_bytes(data[4:6], "big")
    return data[:place] + b"".join(segments) + data[place:]


def phone_jpeg(orientation: int = 6, array: np.ndarray | None = None) -> bytes:
    """A photo as a phone stores it, turned, with all the metadata that programs add."""
    array = photograph()[:48] if array is None else array
    return jpeg_of(
        array,
        segment(0xE1, phone_exif(orientation, (array.shape[1], array.shape[0]))),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP % orientation),
        segment(0xE4, b"Maker's own data"),
        segment(0xED, b"Photoshop 3.0\x00" + PREVIEW + PHOTOSHOP),
        segment(0xFE, b"seen from the jetty"),
        dpi=(240, 240),
    )
