"""EXIF blocks, kept byte for byte except for the values that an upright, converted photo changes."""

import struct

from PIL import Image

_HEADER = b"Exif\x00\x00"
_ORIENTATION, _EXIF_FOLDER = 0x0112, 0x8769
_COLOUR_SPACE, _WIDTH, _HEIGHT = 0xA001, 0xA002, 0xA003
_THUMBNAIL, _THUMBNAIL_BYTES = 0x0201, 0x0202
_SHORT, _LONG = 3, 4

# Tags of a TIFF's own directory that describe the photograph; the others describe the storage of its pixels.
# Names of the document and the page, description, maker, model, resolution and its unit, software, date, artist, host,
# rating, copyright, Windows' title, comment, author, keywords and subject; the EXIF and GPS directories.
_DESCRIPTIVE = (
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x011D, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C),
    *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
)
_DIRECTORIES = (_EXIF_FOLDER, 0x8825)


def upright_exif(block: bytes, width: int, height: int, srgb: bool = True) -> bytes | None:
    """The EXIF block with orientation 1, the given dimensions and no thumbnail; None if damaged.

    Its colour space becomes sRGB, unless the photo keeps a profile of its own.

    Values are overwritten in place, so that a maker's private notes, which hold offsets, stay readable. The thumbnail's
    bytes become zeros, since it may show what was restored away, or are cut off where they are the last.
    """
    body = bytearray(block.removeprefix(_HEADER))
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(bytes(body[:4]))
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", body, 4)
        entries, end = _entries(body, order, first)
        (second,) = struct.unpack_from(order + "I", body, end)
        struct.pack_into(order + "I", body, end, 0)  # the next directory would be the thumbnail of the old picture
        _erase_thumbnail(body, order, second)
        _set(body, order, entries, _ORIENTATION, 1)
        if _EXIF_FOLDER in entries:
            (folder,) = struct.unpack_from(order + "I", body, entries[_EXIF_FOLDER] + 8)
            nested, _ = _entries(body, order, folder)
            for tag, value in ((_WIDTH, width), (_HEIGHT, height), *([(_COLOUR_SPACE, 1)] if srgb else [])):
                _set(body, order, nested, tag, value)
    except struct.error:
        return None
    return _HEADER + bytes(body)


def exif_of_tiff(picture: Image.Image) -> bytes | None:
    """The EXIF block of an opened TIFF, from its descriptive tags and directories; None for a TIFF without them."""
    found, kept = picture.getexif(), Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in found:
            kept[tag] = found[tag]
    for tag in _DIRECTORIES:
        directory = found.get_ifd(tag)
        if directory:
            kept.get_ifd(tag).update(directory)
            kept[tag] = directory
    return kept.tobytes() if len(kept) else None


def _entries(body: bytearray, order: str, start: int) -> tuple[dict[int, int], int]:
    """The place of each tag's 12 bytes in the directory at `start`, and of the directory's link to the next one."""
    (count,) = struct.unpack_from(order + "H", body, start)
    places = [start + 2 + 12 * index for index in range(count)]
    return {struct.unpack_from(order + "H", body, place)[0]: place for place in places}, start + 2 + 12 * count


def _erase_thumbnail(body: bytearray, order: str, directory: int) -> None:
    """Erases the JPEG that the directory at that place (0 for none) points to; a damaged directory erases nothing."""
    try:
        entries, _ = _entries(body, order, directory) if directory else ({}, 0)
        start, length = (
            struct.unpack_from(order + "I", body, entries[tag] + 8)[0] for tag in (_THUMBNAIL, _THUMBNAIL_BYTES)
        )
    except (struct.error, KeyError):
        return
    end = start + length
    if end > len(body) or body[start : start + 2] != b"\xff\xd8":
        return
    body[start:end] = bytes(length)
    if end >= len(body) - 1:  # block lengths may be padded to an even number
        del body[start:]


def _set(body: bytearray, order: str, entries: dict[int, int], tag: int, value: int) -> None:
    """Overwrites the value of a tag, if the directory has it as one short or long."""
    if tag not in entries:
        return
    kind, count = struct.unpack_from(order + "HI", body, entries[tag] + 2)
    if count == 1 and kind == _SHORT and value < 1 << 16:
        struct.pack_into(order + "HH", body, entries[tag] + 8, value, 0)
    elif count == 1 and kind == _LONG:
        struct.pack_into(order + "I", body, entries[tag] + 8, value)
