"""Colour profiles: photos of any profile become sRGB and, where their profile allows it, go back to it.

Photos in sRGB keep every bit, and so do unchanged pixels of photos that go back to their profile.
"""

import io
import struct
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from restorekit.errors import RestorekitError
from restorekit.image.arrays import to_float
from restorekit.image.photo import OwnColours

# Linear sRGB to CIE XYZ under D50, the space in which ICC profiles meet: IEC 61966-2.1, Bradford-adapted.
_SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


class UnreadableProfileError(RestorekitError):
    """A colour profile that is damaged, has another colour model than the photo, or is of an unknown kind."""


@cache
def srgb_profile() -> bytes:
    """The ICC profile of written photos, with a fixed date, so that equal photos give equal files."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def is_srgb(profile: bytes) -> bool:
    """Whether a profile calls itself sRGB, so that its pixels need no conversion."""
    try:
        return "srgb" in ImageCms.getProfileDescription(_opened(profile)).lower()
    except ImageCms.PyCMSError as error:
        raise UnreadableProfileError(f"the colour profile cannot be read ({error})") from error


def picture_to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """An 8-bit picture (mode L, RGB or CMYK) converted from its profile to sRGB (mode RGB), relative colorimetric."""
    try:
        converted = ImageCms.profileToProfile(
            picture,
            _opened(profile),
            _opened(srgb_profile()),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError as error:
        raise UnreadableProfileError(f"the colour profile does not fit the photo ({error})") from error
    assert converted is not None  # only a conversion in place gives None
    return converted


def pixels_to_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """float32 (H, W, 3) in [0, 1] converted to sRGB at full precision, for photos of 16 bits.

    The profile has tone curves and a matrix (Adobe RGB, Display P3, ProPhoto RGB, ...) or one grey curve, as in
    ICC.1:2022, sections 8.3.3 and 8.4; others raise an UnreadableProfileError. Colours outside sRGB are clipped.
    """
    curves, matrix = _curves_and_matrix(profile)
    converted = np.empty_like(pixels)
    nodes = np.linspace(0.0, 1.0, len(curves[0]))
    for row, values in enumerate(pixels):  # row by row, since the computation needs float64
        linear = np.stack([np.interp(values[:, c], nodes, curves[c]) for c in range(3)], axis=1)
        converted[row] = _srgb_encoded(np.clip(linear @ matrix.T, 0.0, 1.0))
    return converted


def leads_back(profile: bytes) -> bool:
    """Whether the profile has only tone curves that rise and a matrix for RGB, so that sRGB can be turned into it."""
    if profile[16:20] != b"RGB " or any(name in _tags(profile) for name in (b"A2B0", b"A2B1", b"B2A0", b"D2B0")):
        return False
    try:
        curves, matrix = _curves_and_matrix(profile)
    except UnreadableProfileError:
        return False
    rising = all((np.diff(curve) >= 0).all() and curve[0] < 0.01 and curve[-1] > 0.99 for curve in curves)
    return rising and bool(np.linalg.cond(matrix) < 1000)


def to_own_colours(pixels: np.ndarray, own: OwnColours, profile: bytes) -> np.ndarray:
    """Changed sRGB pixels (H, W, 3) in the colours of the photo's own profile, for which `leads_back` holds: float32.

    What was changed in sRGB is added to the stored colours. So unchanged pixels come back to the bit, and colours
    outside sRGB stay outside.
    """
    curves, matrix = _curves_and_matrix(profile)
    back = np.linalg.inv(matrix).T
    nodes = np.linspace(0.0, 1.0, len(curves[0]))

    def in_profile(values: np.ndarray) -> np.ndarray:
        linear = np.clip(_srgb_decoded(values.astype(np.float64)) @ back, 0.0, 1.0)
        return np.stack([np.interp(linear[:, c], curves[c], nodes) for c in range(3)], axis=1)

    result = np.empty(pixels.shape, np.float32)
    for row in range(len(pixels)):
        stored, before, after = (to_float(image[row]) for image in (own.stored, own.srgb, pixels))
        changed = (before != after).any(axis=1)
        result[row] = stored
        result[row, changed] += (in_profile(after[changed]) - in_profile(before[changed])).astype(np.float32)
    return np.clip(result, 0.0, 1.0, out=result)


def _curves_and_matrix(profile: bytes) -> tuple[list[np.ndarray], np.ndarray]:
    """Tone curves at 65536 values in [0, 1], and the matrix from linear values to linear sRGB."""
    tags = _tags(profile)
    try:
        if profile[16:20] == b"GRAY":
            return [_curve(tags[b"kTRC"])] * 3, np.eye(3)
        curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        return curves, np.linalg.inv(_SRGB_TO_XYZ) @ np.stack(columns, axis=1)
    except (KeyError, struct.error) as error:
        raise UnreadableProfileError("the colour profile is not one of tone curves and a matrix") from error


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise UnreadableProfileError(f"the colour profile cannot be read ({error})") from error


def _tags(profile: bytes) -> dict[bytes, bytes]:
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))]
    except struct.error as error:
        raise UnreadableProfileError("the colour profile is cut short") from error
    return {name: profile[start : start + size] for name, start, size in entries}


def _xyz(tag: bytes) -> np.ndarray:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536.0


def _curve(tag: bytes) -> np.ndarray:
    """A tone curve (`curv` or `para`) at 65536 evenly spaced values in [0, 1]."""
    x = np.linspace(0.0, 1.0, 65536)
    if tag[:4] == b"para":
        return np.clip(_parametric(tag, x), 0.0, 1.0)
    if tag[:4] != b"curv":
        raise KeyError("curv")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return x
    if count == 1:
        return x ** (struct.unpack_from(">H", tag, 12)[0] / 256.0)
    table = np.array(struct.unpack_from(f">{count}H", tag, 12)) / 65535.0
    return np.interp(x, np.linspace(0.0, 1.0, count), table)


def _parametric(tag: bytes, x: np.ndarray) -> np.ndarray:
    """The five functions of a `para` curve: Y = (aX + b)^g + e for X >= d, cX + f below; ICC.1:2022, table 68."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(kind)
    if count is None:
        raise KeyError("para")
    values = [value / 65536.0 for value in struct.unpack_from(f">{count}i", tag, 12)]
    g = values[0]
    a, b = values[1:3] if kind else (1.0, 0.0)
    c = d = e = f = 0.0
    if kind in (1, 2):
        d = -b / a if a else 0.0
        e = f = values[3] if kind == 2 else 0.0
    elif kind == 3:
        c, d = values[3:5]
    elif kind == 4:
        c, d, e, f = values[3:7]
    return np.where(x >= d, np.maximum(a * x + b, 0.0) ** g + e, c * x + f)


def _srgb_encoded(linear: np.ndarray) -> np.ndarray:
    """Linear values with the tone curve of IEC 61966-2.1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _srgb_decoded(encoded: np.ndarray) -> np.ndarray:
    """Linear values of values with the tone curve of IEC 61966-2.1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
