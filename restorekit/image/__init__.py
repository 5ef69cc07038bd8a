"""Photographs read from files and written to them, as H x W x 3 sRGB: decoding, encoding, colour, EXIF."""

from restorekit.image.arrays import (
    decode_grey,
    decode_rgb,
    encode_grey,
    encode_rgb,
    resize_short_side,
    to_float,
    to_uint8,
)
from restorekit.image.photo import FORMATS, Photo, format_of
from restorekit.image.reading import read_image, read_mask
from restorekit.image.writing import check_format, write_image

__all__ = [
    "FORMATS",
    "Photo",
    "check_format",
    "decode_grey",
    "decode_rgb",
    "encode_grey",
    "encode_rgb",
    "format_of",
    "read_image",
    "read_mask",
    "resize_short_side",
    "to_float",
    "to_uint8",
    "write_image",
]
