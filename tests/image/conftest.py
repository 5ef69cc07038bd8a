"""Photographs and colour profiles for the tests of reading and writing."""

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
