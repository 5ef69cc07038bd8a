"""The metadata of an opened photo, by the format of its file, and notes on what no restored photo can have."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from restorekit.image.exif import exif_of_tiff
from restorekit.image.jpeg import extras_of_jpeg, is_damaged, layout_of, notes_on_jpeg
from restorekit.image.kinds import has_deep_samples, has_gain_map_item
from restorekit.image.photo import Extras, Format
from restorekit.image.png import chunks_of, content_of, exif_of_png, extras_of_png
from restorekit.image.stated_colour import Stated, stated_in_avif, stated_in_png
from restorekit.image.tiff import extras_of_tiff, notes_on_tiff
from restorekit.image.xmp import upright_xmp


@dataclass(frozen=True)
class Metadata:
    """All that a file holds besides its pixels and their profile."""

    exif: bytes | None
    extras: Extras
    stated: Stated = field(default_factory=Stated)
    notes: tuple[str, ...] = ()  # ends of sentences that begin with the file's name


def metadata_of(picture: Image.Image, data: bytes, form: Format, size: tuple[int, int], grey: bool) -> Metadata:
    """The metadata of an opened and loaded file, made to fit an upright picture of `size`, width and height."""
    return _READERS[form](picture, data, size, grey)


def _of_jpeg(picture: Image.Image, data: bytes, size: tuple[int, int], grey: bool) -> Metadata:
    layout = layout_of(data)
    notes = notes_on_jpeg(data, layout, getattr(picture, "n_frames", 1))
    if is_damaged(data, layout, picture):
        notes.append("is damaged: look whether all of its picture is right")
    return Metadata(picture.info.get("exif"), extras_of_jpeg(layout, *size), notes=tuple(notes))


def _of_png(picture: Image.Image, data: bytes, size: tuple[int, int], grey: bool) -> Metadata:
    chunks = chunks_of(data)
    has_profile = bool(picture.info.get("icc_profile"))
    stated = Stated() if has_profile and content_of(chunks, b"cICP") is None else stated_in_png(chunks, grey)
    keeps_colour = stated.profile is None and (stated.hdr is not None or not has_profile)
    extras = extras_of_png(chunks, *size, keeps_colour)
    signed = content_of(chunks, b"caBX") is not None
    notes = ("is signed (content credentials); the signature does not fit new pixels, and is left out",) * signed
    return Metadata(exif_of_png(chunks), extras, stated, notes)


def _of_tiff(picture: Image.Image, data: bytes, size: tuple[int, int], grey: bool) -> Metadata:
    return Metadata(exif_of_tiff(picture), extras_of_tiff(data, *size), notes=tuple(notes_on_tiff(picture)))


def _of_webp(picture: Image.Image, data: bytes, size: tuple[int, int], grey: bool) -> Metadata:
    xmp = picture.info.get("xmp")
    return Metadata(picture.info.get("exif"), Extras(xmp=upright_xmp(xmp, *size) if xmp else None))


def _of_avif(picture: Image.Image, data: bytes, size: tuple[int, int], grey: bool) -> Metadata:
    notes = []
    if has_deep_samples(data):
        notes.append("has more than 8 bits per channel, of which 8 are read")
    if has_gain_map_item(data):
        notes.append("has an HDR gain map, which fits only the old pixels; it is left out")
    stated = Stated() if picture.info.get("icc_profile") else stated_in_avif(data, grey)
    found = _of_webp(picture, data, size, grey)
    return Metadata(found.exif, found.extras, stated, tuple(notes))


_READERS: dict[Format, Callable[[Image.Image, bytes, tuple[int, int], bool], Metadata]] = {
    "jpeg": _of_jpeg,
    "png": _of_png,
    "tiff": _of_tiff,
    "webp": _of_webp,
    "avif": _of_avif,
}
