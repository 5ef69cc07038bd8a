"""Writes photos, as a whole or not at all, with the metadata, depth and channels that the format can hold."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.files import write_atomically
from restorekit.image.arrays import quantise, to_uint8
from restorekit.image.colour import UnreadableProfileError, is_srgb, srgb_profile, to_own_colours
from restorekit.image.jpeg import with_extras
from restorekit.image.photo import Format, Photo, format_of
from restorekit.image.png import metadata_chunks, with_chunks
from restorekit.image.tiff import encode_tiff

JPEG_QUALITY = 95  # with 4:4:4 chroma; the same number for lossy WebP
AVIF_QUALITY = 90  # with 4:4:4 chroma
_LONGEST: dict[Format, int] = {"jpeg": 65500, "webp": 16383, "avif": 65536}  # pixels
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601: grey of three nearly equal channels


def write_image(path: Path | str, photo: Photo) -> None:
    """Writes a photo in the format of the path's suffix, and replaces a file there in one step.

    The file has the photo's EXIF with orientation 1, the other metadata that the format holds (`left_behind` names the
    rest), its alpha, one channel for a grey photo, and the photo's own profile where that leads back from sRGB, or else
    sRGB's if it had one. PNG and TIFF keep 16 bits; WebP is lossless if the photo's file was. Raises a RestorekitError
    where the suffix is unknown, the format cannot hold the photo, or the file cannot be written.
    """
    path = Path(path)
    form = check_format(path, photo)
    try:
        data = _ENCODERS[form](photo)
    except (OSError, ValueError) as error:
        raise RestorekitError(
            f"{path}: {photo.width} x {photo.height} pixels cannot be written as {form} ({error})"
        ) from error
    try:
        with write_atomically(path) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise RestorekitError(f"{path} cannot be written: {error.strerror}") from error


def check_format(path: Path, photo: Photo) -> Format:
    """The format of the path's suffix; a RestorekitError where it is unknown or cannot hold the photo."""
    form = format_of(path)
    if photo.alpha is not None and form == "jpeg":
        raise RestorekitError(f"{path}: a JPEG holds no transparency, which this photo has; take .png, .webp or .tiff")
    limit = _LONGEST.get(form)
    if limit and max(photo.width, photo.height) > limit:
        raise RestorekitError(
            f"{path}: a {form} file holds at most {limit} pixels a side; this photo has {photo.width} x {photo.height}"
        )
    return form


def _jpeg(photo: Photo) -> bytes:
    options = {"icc_profile": _profile(photo), "quality": JPEG_QUALITY, "subsampling": 0}
    try:
        jpeg = _encoded(photo, "JPEG", optimize=True, **options)
    except OSError:  # Pillow's buffer for optimised codes is too small for noise
        jpeg = _encoded(photo, "JPEG", **options)
    return with_extras(jpeg, photo.extras, photo.exif)


def _png(photo: Photo) -> bytes:
    png = _png_sixteen(photo) if photo.bits == 16 else _encoded(photo, "PNG")
    return with_chunks(png, metadata_chunks(photo.extras, photo.exif, _profile(photo), photo.hdr))


def _webp(photo: Photo) -> bytes:
    options = {"quality": JPEG_QUALITY, "lossless": photo.lossless, "exact": True}
    return _encoded(photo, "WEBP", **options, **_blocks(photo))


def _avif(photo: Photo) -> bytes:
    return _encoded(photo, "AVIF", quality=AVIF_QUALITY, subsampling="4:4:4", **_blocks(photo))


def _blocks(photo: Photo) -> dict[str, bytes]:
    """The metadata that Pillow puts into a WebP or an AVIF."""
    blocks = {"icc_profile": _profile(photo), "exif": photo.exif, "xmp": photo.extras.xmp}
    return {name: block for name, block in blocks.items() if block}


def _encoded(photo: Photo, form: str, **options: Any) -> bytes:
    """The file's bytes by Pillow, 8 bits per channel."""
    channels = _channels(photo, np.dtype(np.uint8))
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels.shape[2]]
    picture = Image.fromarray(channels[..., 0] if mode == "L" else channels)
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def _channels(photo: Photo, dtype: np.dtype) -> np.ndarray:
    """(H, W, 1 to 4) of `dtype`: grey or RGB, then alpha."""
    colour = photo.pixels
    if photo.own and photo.icc:
        colour = to_own_colours(colour, photo.own, photo.icc)
    if photo.grey:
        same = (colour[..., 0] == colour[..., 1]).all() and (colour[..., 0] == colour[..., 2]).all()
        if same:
            colour = colour[..., :1]
        else:
            scale = 1.0 if colour.dtype == np.float32 else 255.0
            colour = (colour.astype(np.float32) / np.float32(scale) @ _LUMA)[..., None]
    planes = [_depth(colour, dtype)]
    if photo.alpha is not None:
        planes.append(_depth(photo.alpha, dtype)[..., None])
    if len(planes) == 2 and planes[0].shape[2] == 1 and dtype != np.uint8:
        planes[0] = np.repeat(planes[0], 3, axis=2)  # few programs read grey of 16 bits with alpha
    return np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]


def _depth(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.uint8:
        return to_uint8(values)
    return values.astype(np.uint16) * np.uint16(257) if values.dtype == np.uint8 else quantise(values, dtype)


def _profile(photo: Photo) -> bytes | None:
    """The profile to write: none for photos that are grey or had none, the photo's own where possible, else sRGB's."""
    if photo.icc is None or photo.grey:
        return None
    if photo.own:
        return photo.icc
    try:
        return photo.icc if is_srgb(photo.icc) else srgb_profile()
    except UnreadableProfileError:
        return srgb_profile()


def _png_sixteen(photo: Photo) -> bytes:
    channels = _channels(photo, np.dtype(np.uint16))
    ordered = channels[..., [2, 1, 0, 3][: channels.shape[2]]] if channels.shape[2] > 1 else channels
    done, buffer = cv2.imencode(".png", np.ascontiguousarray(ordered))
    if not done:
        raise ValueError("OpenCV refused")
    return buffer.tobytes()


def _tiff(photo: Photo) -> bytes:
    channels = _channels(photo, np.dtype(np.uint16 if photo.bits == 16 else np.uint8))
    return encode_tiff(channels, photo.alpha is not None, _profile(photo), photo.exif, photo.extras)


_ENCODERS: dict[Format, Callable[[Photo], bytes]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "tiff": _tiff,
    "avif": _avif,
}
