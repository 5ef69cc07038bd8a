"""What a file is by its first bytes, whatever its name says, and what to do with one that is not read."""

import importlib.util
from collections.abc import Mapping
from typing import Any

_CONVERT = "save it as PNG, TIFF or JPEG first"
_RAW = "a camera's raw file: develop it with a raw converter and save it as a TIFF of 16 bits"
_HEIC = (
    "an HEIC picture: install `pip install pillow-heif` (its wheels contain LGPL and GPL parts), or convert it first, "
    "as with `heif-convert PHOTO.heic PHOTO.jpg`"
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2")
_BRANDS = {
    b"crx ": _RAW,
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4", b"3gp5"), "a video"),
}
_STARTS = {
    b"GIF8": f"a GIF: {_CONVERT}",
    b"BM": f"a BMP: {_CONVERT}",
    b"8BPS": f"a Photoshop document: {_CONVERT}",
    b"\xff\x0a": f"a JPEG XL: {_CONVERT}",
    b"\x00\x00\x00\x0cJXL ": f"a JPEG XL: {_CONVERT}",
    b"\x00\x00\x00\x0cjP  ": f"a JPEG 2000: {_CONVERT}",
    b"\xff\x4f\xff\x51": f"a JPEG 2000: {_CONVERT}",
    b"\x76\x2f\x31\x01": f"an OpenEXR picture: {_CONVERT}",
    b"#?RADIANCE": f"a Radiance HDR picture: {_CONVERT}",
    b"FUJIFILM": _RAW,
    b"IIRO": _RAW,
    b"IIU\x00": _RAW,
    b"%PDF": f"a PDF: {_CONVERT}",
    b"PK\x03\x04": "a ZIP archive: unpack it",
    b"<!DO": "a web page, not a picture: download the picture itself",
    b"<htm": "a web page, not a picture: download the picture itself",
    b"<svg": f"an SVG drawing: {_CONVERT}",
    b"<?xm": f"an XML file, such as an SVG drawing: {_CONVERT}",
    b"version https://git-lfs": "a pointer of Git LFS, not the picture itself: run `git lfs pull`",
}
_BOXES = 1 << 16  # bytes in which the boxes of an AVIF lie that describe its pictures
_RAW_TAG, _SMALLER_TAG = 0xC612, 0x00FE  # DNGVersion; NewSubfileType, whose first bit means a reduced version
_DIRECTORIES_TAG = 0x014A  # SubIFDs, in which raw files hold their real pictures


def is_heic(data: bytes) -> bool:
    """Whether the file is an HEIF picture with HEVC inside, which Pillow reads with the package pillow-heif."""
    return _brand(data) in _HEIC_BRANDS and b"avif" not in data[8:64]


def can_read_heic() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


def other_kind(data: bytes) -> str | None:
    """What the file is and what to do, for kinds that are not read: `a GIF: save it as ...`; None where unknown."""
    if is_heic(data):
        return _HEIC
    found = _BRANDS.get(_brand(data))
    return found or next((text for start, text in _STARTS.items() if data.startswith(start)), None)


def raw_kind(data: bytes, tags: Mapping[int, Any]) -> str | None:
    """For a TIFF and its first directory: what to do with a raw file, whose first picture is a preview."""
    smaller = bool(int(tags.get(_SMALLER_TAG, 0) or 0) & 1) and _DIRECTORIES_TAG in tags
    return _RAW if smaller or tags.get(_RAW_TAG) or data[8:10] == b"CR" else None


def _brand(data: bytes) -> bytes:
    return data[8:12] if data[4:8] == b"ftyp" else b""


def webp_is_lossless(data: bytes) -> bool:
    """Whether the pixels of a WebP, or of its first frame, are VP8L: also inside a container with metadata."""
    place = 12
    while place + 8 <= len(data):
        name, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        # A frame's chunks stand behind its 16 bytes of place and time.
        place += 24 if name == b"ANMF" else 8 + length + length % 2
    return False


def has_deep_samples(data: bytes) -> bool:
    """Whether an AVIF has 10 or 12 bits per channel (AV1-ISOBMFF, section 2.3.3)."""
    place = data.find(b"av1C", 0, _BOXES)
    return place >= 0 and len(data) > place + 6 and bool(data[place + 6] & 0x40)


def has_gain_map_item(data: bytes) -> bool:
    """Whether an AVIF holds a second picture that brightens the first one on HDR screens (ISO 21496-1)."""
    return data.find(b"tmap", 0, _BOXES) >= 0
