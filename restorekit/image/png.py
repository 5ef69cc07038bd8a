"""The chunks of a PNG file: found, read as metadata, and put into another file (PNG, third edition, W3C 2025)."""

import struct
import zlib
from collections.abc import Iterable

import cv2
import numpy as np

from restorekit.image.arrays import to_float
from restorekit.image.photo import Chunk, Extras, Resolution
from restorekit.image.photoshop import kept_resources
from restorekit.image.xmp import upright_xmp

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = 33  # of the signature and the first chunk
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_COLOUR = (b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI")
_XMP = b"XML:com.adobe.xmp"
_PROFILE = b"Raw profile type "  # ImageMagick's texts, in which metadata stand as hexadecimal digits
_COMMENT = b"Comment"
_LONGEST_TEXT = 1 << 24  # bytes of a decompressed text: a small chunk can fill the memory


def chunks_of(data: bytes) -> list[Chunk]:
    """The chunks of a PNG, up to the first one that is cut short."""
    found, place = [], len(_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            break
        found.append(Chunk(data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_chunks(png: bytes, chunks: Iterable[Chunk]) -> bytes:
    """The PNG with chunks between its header and its pixels."""
    packed = (
        struct.pack(">I", len(chunk.content)) + chunk.name + chunk.content
        + struct.pack(">I", zlib.crc32(chunk.name + chunk.content))
        for chunk in chunks
    )  # fmt: skip
    return png[:_HEADER_END] + b"".join(packed) + png[_HEADER_END:]


def content_of(chunks: Iterable[Chunk], name: bytes) -> bytes | None:
    return next((chunk.content for chunk in chunks if chunk.name == name), None)


def extras_of_png(chunks: list[Chunk], width: int, height: int, keeps_colour: bool) -> Extras:
    """The metadata of a PNG besides EXIF and profile, made to fit an upright picture of `width` x `height` pixels.

    `keeps_colour` keeps the chunks that say how the colours are coded, since the pixels are.
    """
    xmp = comment = resources = None
    kept: list[Chunk] = []
    for chunk in chunks:
        keyword, text = _text_of(chunk)
        if keyword == _XMP:
            xmp = text and upright_xmp(text, width, height)
        elif keyword.startswith(_PROFILE):
            kind = keyword.removeprefix(_PROFILE)
            if kind in (b"iptc", b"8bim"):
                resources = kept_resources(_raw_profile(text)) or resources
            elif kind == b"xmp" and xmp is None:
                xmp = upright_xmp(_raw_profile(text), width, height) or None
        elif keyword == _COMMENT and chunk.name == b"tEXt":
            comment = text
        elif chunk.name in _TEXTS or chunk.name == b"tIME" or (keeps_colour and chunk.name in _COLOUR):
            kept.append(chunk)
    return Extras(xmp, resources, _resolution(content_of(chunks, b"pHYs")), comment, tuple(kept))


def exif_of_png(chunks: list[Chunk]) -> bytes | None:
    """The EXIF block of a PNG, from its chunk or from ImageMagick's text."""
    found = content_of(chunks, b"eXIf")
    for chunk in chunks if found is None else ():
        keyword, text = _text_of(chunk)
        if keyword in (_PROFILE + b"exif", _PROFILE + b"APP1"):
            block = _raw_profile(text)
            found = block if block.startswith((b"Exif\x00\x00", b"II*\x00", b"MM\x00*")) else None
    return found


def metadata_chunks(extras: Extras, exif: bytes | None, icc: bytes | None, hdr: bytes | None) -> list[Chunk]:
    """The chunks of a written PNG, in an order that the standard allows."""
    chunks = [Chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(icc))] if icc else []
    if hdr and content_of(extras.chunks, b"cICP") is None:
        chunks.append(Chunk(b"cICP", hdr))
    # A profile takes the place of a file's own words on colour.
    chunks += [chunk for chunk in extras.chunks if not (icc and chunk.name in _COLOUR)]
    if extras.resolution:
        x, y = extras.resolution.rounded("metre", 2**31 - 1)
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if exif:
        chunks.append(Chunk(b"eXIf", exif.removeprefix(b"Exif\x00\x00")))
    if extras.xmp:
        chunks.append(Chunk(b"iTXt", _XMP + b"\x00\x00\x00\x00\x00" + extras.xmp))
    if extras.photoshop:
        digits = extras.photoshop.hex().encode()
        lines = b"\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
        text = b"\niptc\n%8d\n" % len(extras.photoshop) + lines + b"\n"
        chunks.append(Chunk(b"zTXt", _PROFILE + b"iptc\x00\x00" + zlib.compress(text)))
    if extras.comment:
        chunks.append(Chunk(b"tEXt", _COMMENT + b"\x00" + extras.comment))
    return chunks


def decode_sixteen_bits(data: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours float32 (H, W, 1 or 3) and alpha (H, W) of a PNG with 16 bits, which Pillow would read as 8."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != size:
        raise ValueError("its 16-bit pixels cannot be decoded; save it as an ordinary PNG")
    if array.ndim == 2:
        key = content_of(chunks_of(data), b"tRNS")  # one grey that is transparent; OpenCV reads it only for colour
        alpha = (array != int.from_bytes(key[:2], "big")).astype(np.float32) if key else None
        return to_float(array[..., None]), alpha
    return to_float(np.ascontiguousarray(array[..., 2::-1])), to_float(array[..., 3]) if array.shape[2] == 4 else None


def _resolution(content: bytes | None) -> Resolution | None:
    if content is None or len(content) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", content)
    return Resolution(x, y, "metre") if unit == 1 and x and y else None


def _text_of(chunk: Chunk) -> tuple[bytes, bytes]:
    """Keyword and text of a text chunk; empty for other chunks and damaged ones."""
    if chunk.name not in _TEXTS:
        return b"", b""
    keyword, _, rest = chunk.content.partition(b"\x00")
    packed = chunk.name == b"zTXt" or rest[:1] == b"\x01"
    if chunk.name == b"zTXt":
        rest = rest[1:]
    elif chunk.name == b"iTXt":
        rest = rest[2:].split(b"\x00", 2)[-1]
    try:
        text = zlib.decompressobj().decompress(rest, _LONGEST_TEXT) if packed and chunk.name != b"tEXt" else rest
    except zlib.error:
        return b"", b""
    return keyword, text


def _raw_profile(text: bytes) -> bytes:
    """The bytes of a text such as `\\nexif\\n    1234\\n457869...`; empty where it is none."""
    parts = text.strip().split(b"\n", 2)
    try:
        return bytes.fromhex(parts[2].decode("ascii")) if len(parts) == 3 else b""
    except ValueError:
        return b""
