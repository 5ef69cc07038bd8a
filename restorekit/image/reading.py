"""Reads users' photos as upright sRGB pixels and their masks as arrays, or raises an error with the file's name."""

import io
import warnings
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from restorekit.errors import RestorekitError
from restorekit.image.arrays import to_float
from restorekit.image.colour import UnreadableProfileError, is_srgb, picture_to_srgb, pixels_to_srgb
from restorekit.image.exif import exif_of_tiff, upright_exif
from restorekit.image.photo import Format, Photo
from restorekit.image.tiff import decode_sixteen, upright

MAX_PIXELS = 178_000_000  # a small file of a larger picture can fill the memory; Pillow's own limit is just above
THRESHOLD = 0.5  # least brightness of a missing pixel in a mask; transparent pixels count as black

_FORMATS: dict[str, Format] = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp", "TIFF": "tiff"}
_GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


def read_image(path: Path | str) -> Photo:
    """The photo in a JPEG, PNG, WebP or TIFF file of up to 16 bits per channel: grey, palette, RGB or CMYK.

    EXIF orientation is applied, and the colour profile converted to sRGB. Of several pages or frames only the first is
    read, with a note. Raises a RestorekitError with the path where the file is missing, damaged, cut short, of another
    kind, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    data = _bytes_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata, and about sizes that MAX_PIXELS allows
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "TIFF")) as picture:
                return _photo(picture, data, path)
        except RestorekitError:
            raise
        except Image.DecompressionBombError as error:
            raise RestorekitError(f"{path} is too large: at most {MAX_PIXELS / 1e6:.0f} million pixels") from error
        except UnidentifiedImageError as error:
            raise RestorekitError(f"{path} is damaged, or no JPEG, PNG, WebP or TIFF file") from error
        except Exception as error:  # damaged bytes raise errors of every class in decoders
            raise RestorekitError(f"{path} is damaged or cut short ({error})") from error


def _bytes_of(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RestorekitError(f"no photo at {path}") from None
    except OSError as error:
        raise RestorekitError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise RestorekitError(f"{path} is an empty file")
    return data


def _photo(picture: Image.Image, data: bytes, path: Path) -> Photo:
    if picture.width * picture.height > MAX_PIXELS:
        raise RestorekitError(
            f"{path} is too large: {picture.width} x {picture.height}, at most {MAX_PIXELS / 1e6:.0f} million pixels"
        )
    if picture.mode not in _GREY_MODES + _COLOUR_MODES:
        raise RestorekitError(
            f"{path} has pixels of kind '{picture.mode}': save it as RGB with 8 or 16 bits per channel"
        )
    pages = getattr(picture, "n_frames", 1)
    picture.load()  # raises if the file is cut short; makes a TIFF upright
    bits: Literal[8, 16] = 16 if _has_sixteen_bits(picture, data) else 8
    if bits == 16 and picture.mode == "CMYK":
        raise RestorekitError(f"{path} is CMYK with 16 bits per channel: save it as RGB, or with 8 bits")
    notes = [f"{path} holds {pages} pictures; the first is taken"] if pages > 1 else []
    icc = picture.info.get("icc_profile") or None
    grey = picture.mode in _GREY_MODES or (bits == 16 and _is_grey_png(data))
    decode = _decode_sixteen if bits == 16 else _decode_eight
    pixels, alpha = decode(picture, data, icc, notes)
    orientation = picture.getexif().get(0x0112, 1)
    pixels, alpha = upright(pixels, orientation), None if alpha is None else upright(alpha, orientation)
    exif = exif_of_tiff(picture) if picture.format == "TIFF" else picture.info.get("exif")
    kept = upright_exif(exif, pixels.shape[1], pixels.shape[0]) if exif else None
    if exif and not kept:
        notes.append(f"the EXIF data of {path} are damaged and left out")
    if picture.mode == "CMYK":
        notes.append(f"{path} is CMYK; it becomes RGB")
    return Photo(
        pixels=pixels,
        alpha=alpha,
        grey=grey,
        bits=bits,
        format=_FORMATS[picture.format or ""],
        lossless=picture.format in ("PNG", "TIFF") or data[12:16] == b"VP8L",
        exif=kept,
        icc=icc,
        notes=tuple(notes),
    )


def _has_sixteen_bits(picture: Image.Image, data: bytes) -> bool:
    if picture.format == "PNG":
        return data[24] == 16  # the header's bit depth
    if picture.format == "TIFF":
        return 16 in picture.tag_v2.get(0x0102, ())  # type: ignore[attr-defined]
    return False


def _is_grey_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG") and data[25] in (0, 4)  # the header's colour type


def _decode_eight(
    picture: Image.Image, data: bytes, icc: bytes | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    alpha = None
    if picture.has_transparency_data:
        if picture.mode not in ("LA", "RGBA"):
            picture = picture.convert("LA" if picture.mode == "La" else "RGBA")
        alpha = np.array(picture.getchannel("A"))
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    if icc:
        try:
            if picture.mode == "CMYK" or not is_srgb(icc):
                picture = picture_to_srgb(picture, icc)
        except UnreadableProfileError as error:
            notes.append(f"{error}; its colours are taken as sRGB")
    return np.array(picture.convert("RGB")), alpha


def _decode_sixteen(
    picture: Image.Image, data: bytes, icc: bytes | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pillow reads colour with 16 bits as 8, so that OpenCV decodes PNG and tifffile TIFF."""
    size = (picture.height, picture.width)
    pixels, alpha = decode_sixteen(data, size) if picture.format == "TIFF" else _decode_png_sixteen(data, size)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if icc:
        try:
            pixels = pixels if is_srgb(icc) else pixels_to_srgb(pixels, icc)
        except UnreadableProfileError as error:
            notes.append(f"{error}; its colours are taken as sRGB")
    return pixels, alpha


def _decode_png_sixteen(data: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours float32 (H, W, 1 or 3) and alpha (H, W)."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != size:
        raise ValueError("its 16-bit pixels cannot be decoded; save it as an ordinary PNG")
    if array.ndim == 2:
        return to_float(array[..., None]), None
    return to_float(np.ascontiguousarray(array[..., 2::-1])), to_float(array[..., 3]) if array.shape[2] == 4 else None


def read_mask(path: Path | str, size: tuple[int, int], invert: bool = False) -> np.ndarray:
    """A user's mask as float32 (H, W), 1 = missing and 0 = kept, from any picture that is white in the missing parts.

    With `invert` black is missing, as in the masks of MADF's authors. `size` is (height, width) of the upright photo.
    Soft edges are thresholded, as in training; the authors of MADF train with soft edges. Raises a RestorekitError
    where the file is no picture, has another size, or marks all pixels or none.
    """
    picture = read_image(path)
    if (picture.height, picture.width) != size:
        raise RestorekitError(
            f"the mask {path} has {picture.width} x {picture.height} pixels and the photo {size[1]} x {size[0]}: "
            f"make it of the photo's size"
        )
    brightness = to_float(picture.pixels).mean(axis=2)
    if picture.alpha is not None:
        alpha = picture.alpha.astype(np.float32)
        brightness *= alpha / 255 if picture.alpha.dtype == np.uint8 else alpha
    missing = (brightness >= THRESHOLD) != invert
    if missing.all() or not missing.any():
        white, black = ("black", "white") if invert else ("white", "black")
        found = (
            f"{white} everywhere: nothing is left to go by"
            if missing.all()
            else f"{black} everywhere: nothing is missing"
        )
        raise RestorekitError(
            f"the mask {path} is {found}; it must be {white} where something is missing, {black} elsewhere"
        )
    return missing.astype(np.float32)
