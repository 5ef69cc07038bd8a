"""TIFF files: tifffile reads samples of 16 bits; files with EXIF are written as one compressed strip.

OpenCV ignores the tags for separate planes, for white as zero, and for colours that are multiplied by their alpha.
"""

import io
import logging
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from restorekit.image.arrays import to_float
from restorekit.image.photo import Extras, Unit
from restorekit.image.photoshop import iptc_of, kept_resources, resources_with
from restorekit.image.xmp import upright_xmp

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # errors, with the file's name, are raised instead

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # photometric interpretations
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of extra samples that are alpha; 0 is anything else
_DIRECTORIES = (0x8769, 0x8825)  # of EXIF and of GPS
_XMP, _IPTC, _PHOTOSHOP = 0x02BC, 0x83BB, 0x8649
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_PLACES_ON_EARTH = (0x830E, 0x8482, 0x85D8, 0x87AF)  # GeoTIFF: scale, points, transformation, keys


def decode_sixteen(data: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours float32 (H, W, 1 or 3) in [0, 1], not multiplied by alpha, and alpha (H, W); the first page, upright.

    `size` is the (height, width) that the upright picture must have. A ValueError names what cannot be decoded.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        kind, extra = int(page.photometric), [int(one) for one in page.extrasamples]
        samples = _samples(page, data, size)
    if kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise ValueError("its 16-bit colours are neither grey nor RGB; save it as RGB")
    if kind == _WHITE_IS_ZERO:
        samples[..., 0] = np.iinfo(np.uint16).max - samples[..., 0]
    count = 3 if kind == _RGB else 1
    colours = to_float(samples[..., :count])
    if samples.shape[2] == count or (extra and extra[0] not in (_ASSOCIATED, _UNASSOCIATED)):
        return colours, None
    alpha = to_float(samples[..., count])
    if extra and extra[0] == _ASSOCIATED:
        np.divide(colours, alpha[..., None], out=colours, where=alpha[..., None] > 0)
        np.minimum(colours, 1.0, out=colours)
    return colours, alpha


def _samples(page: tifffile.TiffPage, data: bytes, size: tuple[int, int]) -> np.ndarray:
    """The samples as they are stored, uint16 (H, W, samples of a pixel), upright."""
    turned = page.tags.valueof(0x0112, 1)
    if (page.imagelength, page.imagewidth) != (size[::-1] if turned in (5, 6, 7, 8) else size):
        raise ValueError("its directory names two sizes")
    try:
        array = page.asarray(maxworkers=1)
    except ValueError:
        # tifffile takes some codecs, such as LZW, from imagecodecs. OpenCV has them, but mixes up separate planes.
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            raise ValueError("its compressed planes of 16 bits cannot be decoded; save it with ZIP or none") from None
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # upright
        array = np.empty(0) if decoded is None else decoded
        array, turned = array[..., [2, 1, 0, *range(3, array.shape[2])]] if array.ndim == 3 else array, 1
    if (array.dtype.kind, array.dtype.itemsize) != ("u", 2):
        raise ValueError("its 16-bit pixels cannot be decoded; save it as an ordinary PNG or TIFF")
    array = array.astype(np.uint16)  # the machine's byte order, and a copy
    array = np.moveaxis(array, 0, 2) if page.axes == "SYX" else array
    return upright(array if array.ndim == 3 else array[..., None], turned)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """`array` (H, W, ...) turned upright from an EXIF orientation of 1 to 8 (EXIF 2.32, table 8); others count as 1."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def extras_of_tiff(data: bytes, width: int, height: int) -> Extras:
    """The metadata of a TIFF besides EXIF and profile, made to fit an upright picture of `width` x `height` pixels.

    The file's resolution is in the EXIF block that `exif_of_tiff` makes. Damaged tags count as none.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags, order = file.pages.first.tags, file.byteorder
            xmp, iptc, resources = (_block(tags.valueof(tag), order) for tag in (_XMP, _IPTC, _PHOTOSHOP))
    except Exception:  # damaged bytes raise errors of every class
        return Extras()
    kept = kept_resources(resources)
    return Extras(upright_xmp(xmp, width, height) or None, resources_with(iptc, kept) if iptc else kept)


def _block(value: object, order: str) -> bytes:
    """The bytes of a tag; IPTC is often declared as numbers of 32 bits."""
    if isinstance(value, tuple) and all(isinstance(part, int) for part in value):
        return np.array(value, np.int64).astype(order + "u4").tobytes()
    return value if isinstance(value, bytes) else b""


def notes_on_tiff(picture: Image.Image) -> list[str]:
    tags = picture.tag_v2  # type: ignore[attr-defined]
    if any(tag in tags for tag in _PLACES_ON_EARTH):
        return ["is a GeoTIFF; its map coordinates are left out"]
    return []


def unreadable_samples(data: bytes) -> str | None:
    """What the samples of a TIFF are that Pillow does not know: `32-bit floating point`; None where it is damaged."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            assert isinstance(page, tifffile.TiffPage)
            if page.dtype is None:
                return f"{page.bitspersample}-bit"
            kinds = {"f": "floating point", "i": "signed integers", "u": "integers", "c": "complex numbers"}
            return f"{8 * page.dtype.itemsize}-bit {kinds.get(page.dtype.kind, 'numbers')}"
    except Exception:  # damaged bytes raise errors of every class
        return None


def encode_tiff(channels: np.ndarray, has_alpha: bool, icc: bytes | None, exif: bytes | None, extras: Extras) -> bytes:
    """A TIFF file of (H, W, 1 to 4), uint8 or uint16: one directory and one strip of deflated samples (TIFF 6.0).

    Pillow writes no colour of 16 bits, and no EXIF directory into a compressed TIFF; tifffile writes no directory
    within another, as EXIF needs.
    """
    height, width, count = channels.shape
    strip = zlib.compress(channels.astype(channels.dtype.newbyteorder("<")).tobytes())
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\x00\x08\x00\x00\x00")
    tags[0x0100], tags[0x0101], tags[0x0102] = width, height, (8 * channels.itemsize,) * count
    tags[0x0103] = 8  # deflate
    tags[0x0106] = _BLACK_IS_ZERO if count < 3 else _RGB
    tags[0x0111], tags[0x0115], tags[0x0116], tags[0x0117] = 0, count, height, len(strip)
    tags[0x011C] = 1  # the samples of a pixel lie together
    if has_alpha:
        tags[0x0152] = _UNASSOCIATED
    if icc:
        tags[0x8773] = icc
    if exif:
        found = Image.Exif()
        found.load(exif)
        for tag, value in found.items():
            tags[tag] = found.get_ifd(tag) if tag in _DIRECTORIES else value
    if extras.resolution and _X_RESOLUTION not in tags:
        unit: Unit = "cm" if extras.resolution.unit == "cm" else "inch"
        tags[_X_RESOLUTION], tags[_Y_RESOLUTION] = extras.resolution.rounded(unit, 2**31 - 1)
        tags[_RESOLUTION_UNIT] = 3 if unit == "cm" else 2
    iptc, resources = iptc_of(extras.photoshop or b""), extras.photoshop
    if iptc and resources == resources_with(iptc, None):
        resources = None  # IPTC alone has a tag of its own
    for tag, block, kind in ((_XMP, extras.xmp, 1), (_IPTC, iptc, 7), (_PHOTOSHOP, resources, 1)):
        if block:
            tags.tagtype[tag], tags[tag] = kind, block
    return b"II*\x00\x08\x00\x00\x00" + tags.tobytes(8) + strip
