"""Reads users' photos as upright sRGB pixels and their masks as arrays, or raises an error with the file's name."""

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from restorekit.errors import RestorekitError
from restorekit.image.arrays import MAX_PIXELS, to_float, to_uint8
from restorekit.image.colour import UnreadableProfileError, is_srgb, leads_back, picture_to_srgb, pixels_to_srgb
from restorekit.image.exif import upright_exif
from restorekit.image.jpeg import complete, layout_of
from restorekit.image.kinds import can_read_heic, is_heic, other_kind, raw_kind, webp_is_lossless
from restorekit.image.metadata import metadata_of
from restorekit.image.photo import FORMATS, Format, OwnColours, Photo
from restorekit.image.png import decode_sixteen_bits
from restorekit.image.tiff import decode_sixteen, unreadable_samples, upright

THRESHOLD = 0.5  # least brightness of a missing pixel in a mask; transparent pixels count as black

_FORMATS: dict[str, Format] = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tiff",
    "AVIF": "avif",
    "HEIF": "avif",  # the nearest kind that is written
}
_READ = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
_GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_TURNED = (5, 6, 7, 8)  # orientations that swap width and height


def read_image(path: Path | str) -> Photo:
    """The photo in a JPEG, PNG, WebP, TIFF or AVIF file of up to 16 bits per channel: grey, palette, RGB or CMYK.

    The file's content says what it is, not its name. EXIF orientation is applied, and colours are converted to sRGB,
    but for those of an HDR PNG. Notes say what a restored photo cannot keep: all but the first of several pages, frames
    or pictures, a gain map, a signature, and damage to a JPEG that can still be decoded. HEIC is read where the package
    pillow-heif is installed. Raises a RestorekitError with the path where the file is missing, damaged, cut short, of
    another kind, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    data = _bytes_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata, and about sizes that MAX_PIXELS allows
        try:
            notes: list[str] = []
            data = _with_end_marker(data, notes)
            with Image.open(io.BytesIO(data), formats=_formats(data)) as picture:
                return _photo(picture, data, path, notes)
        except RestorekitError:
            raise
        except Image.DecompressionBombError as error:
            raise RestorekitError(f"{path} is too large: at most {MAX_PIXELS / 1e6:.0f} million pixels") from error
        except UnidentifiedImageError as error:
            raise RestorekitError(f"{path} {_unknown(data)}") from error
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


def _formats(data: bytes) -> tuple[str, ...]:
    if not is_heic(data) or not can_read_heic():
        return _READ
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _unknown(data: bytes) -> str:
    """The end of the message about a file that Pillow does not know."""
    kind = other_kind(data)
    if kind:
        return f"is {kind}"
    samples = unreadable_samples(data) if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+") else None
    if samples:
        return f"is a TIFF with samples of {samples}: save it as grey or RGB with 8 or 16 bits per channel"
    return "is damaged, or no JPEG, PNG, WebP, TIFF or AVIF file"


def _with_end_marker(data: bytes, notes: list[str]) -> bytes:
    """The file's bytes; those of a JPEG that lacks only the end marker, with it and a note."""
    if not data.startswith(b"\xff\xd8\xff"):
        return data
    layout = layout_of(data)
    if layout.ended or not layout.runs:
        return data
    whole = complete(data, layout)
    if whole is None:
        return data
    notes.append("lacks its end, but no part of the picture is missing")
    return whole


def _photo(picture: Image.Image, data: bytes, path: Path, notes: list[str]) -> Photo:
    _check(picture, data, path)
    form = _FORMATS[picture.format or ""]
    pages = getattr(picture, "n_frames", 1)
    picture.load()  # raises if the file is cut short; makes a TIFF upright
    bits: Literal[8, 16] = 16 if _has_sixteen_bits(picture, data) else 8
    if bits == 16 and picture.mode == "CMYK":
        raise RestorekitError(f"{path} is CMYK with 16 bits per channel: save it as RGB, or with 8 bits")
    grey = picture.mode in _GREY_MODES or (bits == 16 and _is_grey_png(data))
    orientation = picture.getexif().get(0x0112, 1)
    width, height = picture.size[::-1] if orientation in _TURNED else picture.size
    found = metadata_of(picture, data, form, (width, height), grey)
    if FORMATS.get(path.suffix.lower(), form) != form:
        notes.append(f"holds {_named(picture)}, whatever its name says")
    if pages > 1 and form != "jpeg":
        each = "pages" if form == "tiff" else "frames of an animation"
        notes.append(f"holds {pages} pictures ({each}); the first is taken, and the others are left out")
    icc = None if found.stated.hdr else picture.info.get("icc_profile") or None
    decode = _decode_sixteen if bits == 16 else _decode_eight
    pixels, alpha, stored = decode(picture, data, icc, notes)
    if found.stated.profile and not icc:
        icc = found.stated.profile
        converted = pixels_to_srgb(to_float(pixels), icc)
        pixels = converted if bits == 16 else to_uint8(converted)
    pixels, alpha = upright(pixels, orientation), None if alpha is None else upright(alpha, orientation)
    own = None if stored is None else OwnColours(upright(stored, orientation), pixels)
    kept = upright_exif(found.exif, width, height, srgb=own is None) if found.exif else None
    if found.exif and not kept:
        notes.append("has damaged EXIF data, which are left out")
    if picture.mode == "CMYK":
        notes.append("is CMYK; it becomes RGB")
    notes += [*found.notes, *([found.stated.note] if found.stated.note else [])]
    return Photo(
        pixels=pixels,
        alpha=alpha,
        grey=grey,
        bits=bits,
        format=form,
        lossless=form in ("png", "tiff") or (form == "webp" and webp_is_lossless(data)),
        exif=kept,
        icc=icc,
        notes=tuple(f"{path} {note}" for note in notes),
        extras=found.extras,
        own=own,
        hdr=found.stated.hdr,
    )


def _check(picture: Image.Image, data: bytes, path: Path) -> None:
    """Raises a RestorekitError for pictures that are too large, and for pixels of kinds that are not read."""
    if picture.width * picture.height > MAX_PIXELS:
        raise RestorekitError(
            f"{path} is too large: {picture.width} x {picture.height}, at most {MAX_PIXELS / 1e6:.0f} million pixels"
        )
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        raw = raw_kind(data, tags)
        if raw:
            raise RestorekitError(f"{path} is {raw}")
        if tags.get(0x011C) == 2 and 1 in tags.get(0x0152, ()):
            raise RestorekitError(f"{path} has colours multiplied by alpha in separate planes: save it interleaved")
    if picture.mode not in _GREY_MODES + _COLOUR_MODES:
        raise RestorekitError(
            f"{path} has pixels of kind '{picture.mode}': save it as RGB with 8 or 16 bits per channel"
        )


def _named(picture: Image.Image) -> str:
    name = "JPEG" if picture.format == "MPO" else picture.format or ""
    return {"WEBP": "a WebP", "AVIF": "an AVIF", "HEIF": "an HEIC"}.get(name, f"a {name}")


def _has_sixteen_bits(picture: Image.Image, data: bytes) -> bool:
    if picture.format == "PNG":
        return data[24] == 16  # the header's bit depth
    if picture.format == "TIFF":
        return 16 in picture.tag_v2.get(0x0102, ())  # type: ignore[attr-defined]
    return False


def _is_grey_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG") and data[25] in (0, 4)  # the header's colour type


# Pixels in sRGB, alpha, and pixels in the photo's own colours where its profile leads back to them.
_Decoded = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
_ONE_WAY = "has a colour profile that works one way only; its colours become sRGB"


def _decode_eight(picture: Image.Image, data: bytes, icc: bytes | None, notes: list[str]) -> _Decoded:
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
    stored = None
    if icc:
        try:
            if picture.mode == "CMYK":
                picture = picture_to_srgb(picture, icc)
            elif not is_srgb(icc):
                converted = picture_to_srgb(picture, icc)
                if leads_back(icc):
                    stored = np.array(picture)
                else:
                    notes.append(_ONE_WAY)
                picture = converted
        except UnreadableProfileError as error:
            notes.append(f"keeps its colours as if they were sRGB: {error}")
    return np.array(picture.convert("RGB")), alpha, stored


def _decode_sixteen(picture: Image.Image, data: bytes, icc: bytes | None, notes: list[str]) -> _Decoded:
    """Pillow reads colour with 16 bits as 8, so that OpenCV decodes PNG and tifffile TIFF."""
    size = (picture.height, picture.width)
    pixels, alpha = decode_sixteen(data, size) if picture.format == "TIFF" else decode_sixteen_bits(data, size)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    stored = None
    if icc:
        try:
            if not is_srgb(icc):
                converted = pixels_to_srgb(pixels, icc)
                if leads_back(icc):
                    stored = pixels
                else:
                    notes.append(_ONE_WAY)
                pixels = converted
        except UnreadableProfileError as error:
            notes.append(f"keeps its colours as if they were sRGB: {error}")
    return pixels, alpha, stored


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
