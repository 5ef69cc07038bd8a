"""Colour that a file states by numbers instead of a profile: gamma and chromaticities, or code points, as profiles.

PNG has gAMA, cHRM and cICP (PNG, third edition, 11.3.2); AVIF has a `colr` box. Code points are those of ITU-T H.273.
"""

import struct
from dataclasses import dataclass

import numpy as np

from restorekit.image.photo import Chunk
from restorekit.image.png import content_of

Point = tuple[float, float]

_D65: Point = (0.3127, 0.3290)
_PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {  # white, red, green, blue
    1: (_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),  # BT.709 and sRGB
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
_SRGB_PRIMARIES, _SRGB_CURVE, _UNSPECIFIED = 1, 13, 2
_VIDEO = (1, 6, 14, 15)  # curves of video, which are shown like sRGB's
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR = {16: "PQ", 18: "HLG"}
_SRGB_GAMMA, _NEAR = 2.2, 0.02  # a gamma this near, in parts, and primaries this near, are taken as sRGB's
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class Stated:
    """The colours that a file states: as sRGB's if both fields are None."""

    profile: bytes | None = None  # to convert from
    hdr: bytes | None = None  # the code points, where no curve makes sRGB of the pixels
    note: str | None = None


def stated_in_png(chunks: list[Chunk], grey: bool) -> Stated:
    """The colours of a PNG without a profile: code points count before sRGB's chunk, and that before a gamma."""
    points = content_of(chunks, b"cICP")
    if points is not None and len(points) == 4:
        return _of_code_points(points, grey)
    gamma = content_of(chunks, b"gAMA")
    if gamma is None or len(gamma) != 4 or content_of(chunks, b"sRGB") is not None:
        return Stated()
    stored = int.from_bytes(gamma, "big")
    places = content_of(chunks, b"cHRM")
    primaries = _PRIMARIES[_SRGB_PRIMARIES]
    if places is not None and len(places) == 32:
        x = [value / 100_000 for value in struct.unpack(">8I", places)]
        primaries = ((x[0], x[1]), (x[2], x[3]), (x[4], x[5]), (x[6], x[7]))
    same_primaries = grey or np.abs(np.subtract(primaries, _PRIMARIES[_SRGB_PRIMARIES])).max() < _NEAR
    exponent = 100_000 / stored if stored else 0.0
    if same_primaries and abs(exponent / _SRGB_GAMMA - 1) < _NEAR:
        return Stated()
    profile = _profile(_power(exponent), primaries, grey) if 0.2 < exponent < 10 else None
    if profile is None:
        return Stated(note="states a gamma or primaries that no picture can have; its colours are taken as sRGB")
    return Stated(profile, note=f"states a gamma of {stored / 100_000:g}; its colours become sRGB")


def stated_in_avif(data: bytes, grey: bool) -> Stated:
    """The colours of an AVIF without a profile, from its `colr` box."""
    place = data.find(b"colrnclx", 0, 1 << 16)
    numbers = data[place + 8 : place + 14]
    if place < 0 or len(numbers) < 6:
        return Stated()
    return _of_code_points(bytes([numbers[1], numbers[3], 0, 1]), grey)


def _of_code_points(points: bytes, grey: bool) -> Stated:
    number, curve = points[0], points[1]
    if curve in _HDR:
        return Stated(hdr=points, note=f"is HDR ({_HDR[curve]}); its pixels are taken as they are stored")
    primaries = _PRIMARIES.get(_SRGB_PRIMARIES if number == _UNSPECIFIED else number)
    gamma = _GAMMAS.get(curve)
    if primaries is None or not (gamma or curve in (_SRGB_CURVE, _UNSPECIFIED, *_VIDEO)):
        return Stated(note=f"has colours of code points {number}/{curve}; they are taken as sRGB")
    if gamma is None and (grey or primaries == _PRIMARIES[_SRGB_PRIMARIES]):
        return Stated()
    profile = _profile(_power(gamma) if gamma else _srgb_curve(), primaries, grey)
    return Stated(profile, note=f"has colours of code points {number}/{curve}; they become sRGB")


def _profile(curve: bytes, primaries: tuple[Point, Point, Point, Point], grey: bool) -> bytes | None:
    """An ICC profile of one tone curve and a matrix (ICC.1:2022, 8.3.3 and 8.4.2); None for impossible primaries."""
    blocks = [(b"wtpt", _xyz_tag(_D50))]
    if grey:
        return _packed(b"GRAY", [*blocks, (b"kTRC", curve)])
    try:
        white, *colours = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
        columns = np.stack(colours, axis=1)
        columns = columns * np.linalg.solve(columns, white)
    except (ZeroDivisionError, np.linalg.LinAlgError):
        return None
    adapted = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD @ columns
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 4:
        return None
    blocks += [(name, _xyz_tag(adapted[:, index])) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    return _packed(b"RGB ", [*blocks, *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))])


def _packed(space: bytes, blocks: list[tuple[bytes, bytes]]) -> bytes:
    text = b"stated by numbers\x00"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    blocks = [(b"desc", description + bytes(-len(description) % 4)), *blocks]
    start, table, body = 132 + 12 * len(blocks), struct.pack(">I", len(blocks)), b""
    for name, block in blocks:
        table += name + struct.pack(">II", start + len(body), len(block))
        body += block
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:24] = b"\x02\x10\x00\x00mntr" + space + b"XYZ "
    header[36:40], header[68:80] = b"acsp", _xyz_tag(_D50)[8:]
    return bytes(header) + table + body


def _xyz_tag(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(value) * 65536) for value in values))


def _power(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IHH", 1, round(exponent * 256), 0)


def _srgb_curve() -> bytes:
    """IEC 61966-2.1 as a table, which profiles of version 2 have instead of functions."""
    x = np.linspace(0.0, 1.0, 1024)
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *np.rint(linear * 65535).astype(int).tolist())
