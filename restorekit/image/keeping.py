"""What a format cannot keep of a photo, said before the photo is restored and written."""

from pathlib import Path

from restorekit.image.jpeg import fits_jpeg
from restorekit.image.photo import Format, Photo, format_of

_NAMES: dict[Format, str] = {"jpeg": "a JPEG", "png": "a PNG", "webp": "a WebP", "tiff": "a TIFF", "avif": "an AVIF"}
_DEEP: tuple[Format, ...] = ("png", "tiff")
_WITH_IPTC: tuple[Format, ...] = ("jpeg", "png", "tiff")
_WITH_COMMENT: tuple[Format, ...] = ("jpeg", "png")


def left_behind(path: Path | str, photo: Photo) -> list[str]:
    """Sentences about what the file at `path` will lack of the photo, by the format of the path's suffix."""
    form = format_of(Path(path))
    extras, lost = photo.extras, []
    if photo.bits == 16 and form not in _DEEP:
        lost.append("16 bits per channel")
    if photo.hdr and form != "png":
        lost.append("HDR colours, so that the picture will look flat")
    if form == "jpeg":
        blocks = {"EXIF": photo.exif, "XMP": extras.xmp, "comment": extras.comment}
        lost += [f"{name} of {len(block)} bytes" for name, block in blocks.items() if block and not fits_jpeg(block)]
    if extras.photoshop and form not in _WITH_IPTC:
        lost.append("IPTC and other Photoshop data")
    if extras.comment and form not in _WITH_COMMENT:
        lost.append("a comment")
    if extras.resolution and form not in _WITH_IPTC:
        lost.append("a resolution outside EXIF")
    texts = [chunk for chunk in extras.chunks if chunk.name in (b"tEXt", b"zTXt", b"iTXt")]
    if texts and form != "png":
        keywords = {chunk.content.split(b"\x00")[0].decode("latin-1") for chunk in texts}
        lost.append(f"a PNG's texts ({', '.join(sorted(keywords))})")
    if extras.segments and form != "jpeg":
        lost.append("the parts that only JPEG files have (a camera's own, or extended XMP)")
    return [f"{path}: {_NAMES[form]} cannot keep {what}" for what in lost]
