"""A user's photo in memory: upright sRGB pixels, and all other content of its file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from restorekit.errors import RestorekitError

Format = Literal["jpeg", "png", "webp", "tiff", "avif"]

FORMATS: dict[str, Format] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
}

ONLY_READ = {".heic": ".jpg", ".heif": ".jpg", ".hif": ".jpg"}  # suffixes, each with the suffix of results

Unit = Literal["inch", "cm", "metre"]
_METRES: dict[Unit, float] = {"inch": 0.0254, "cm": 0.01, "metre": 1.0}


@dataclass(frozen=True)
class Resolution:
    """Pixels per `unit`, across and down."""

    x: float
    y: float
    unit: Unit

    def rounded(self, unit: Unit, limit: int) -> tuple[int, int]:
        """Whole pixels per another unit, from 1 to `limit`."""
        scale = _METRES[unit] / _METRES[self.unit]
        x, y = (min(max(round(value * scale), 1), limit) for value in (self.x, self.y))
        return x, y


@dataclass(frozen=True)
class Segment:
    """A segment of a JPEG file: the second byte of its marker, and its content without the length."""

    marker: int
    content: bytes


@dataclass(frozen=True)
class Chunk:
    """A chunk of a PNG file: its four letters and its content."""

    name: bytes
    content: bytes


@dataclass(frozen=True)
class Extras:
    """A file's metadata besides EXIF and the colour profile, as bytes of the form that the formats share."""

    xmp: bytes | None = None  # the packet
    photoshop: bytes | None = None  # image resources, which hold IPTC
    resolution: Resolution | None = None
    comment: bytes | None = None  # of a JPEG, or a PNG's text of that name
    chunks: tuple[Chunk, ...] = ()  # texts, times and colour of a PNG
    segments: tuple[Segment, ...] = ()  # extended XMP of a JPEG, and what its maker defines


@dataclass(frozen=True)
class OwnColours:
    """A photo of another profile than sRGB's as it was read, from which its file is written with that profile."""

    stored: np.ndarray  # (H, W, 3) in the file's colours, uint8 or float32
    srgb: np.ndarray  # (H, W, 3) the same in sRGB, clipped: what is shown to a network


@dataclass(frozen=True)
class Photo:
    """A decoded photo; its arrays are uint8 for files of 8 bits, and float32 in [0, 1] for files of 16 bits."""

    pixels: np.ndarray  # (H, W, 3) sRGB, upright; float32 after restoration
    alpha: np.ndarray | None  # (H, W), 1 (or 255) = opaque
    grey: bool  # the file has one channel of colour, and is written with one
    bits: Literal[8, 16]  # per channel, of the file
    format: Format
    lossless: bool  # of the file's compression
    exif: bytes | None  # as in a JPEG's marker, with orientation 1
    icc: bytes | None  # the file's colour profile; `pixels` are sRGB in any case but that of `hdr`
    notes: tuple[str, ...] = ()  # sentences for the user about parts of the file that the photo lacks
    extras: Extras = Extras()
    own: OwnColours | None = None  # where `icc` leads back from sRGB to the file's colours
    hdr: bytes | None = None  # code points (ITU-T H.273) of a PNG whose pixels stay in their HDR coding

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """This photo with other pixels of the same shape, uint8 or float32 in [0, 1]."""
        if pixels.shape != self.pixels.shape or pixels.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"uint8 or float32 pixels of shape {self.pixels.shape} are expected, not {pixels.dtype} {pixels.shape}"
            )
        return replace(self, pixels=pixels)


def format_of(path: Path) -> Format:
    """The format of a file's suffix; a RestorekitError lists the known suffixes."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        found = f"'{path.suffix}'" if path.suffix else "none"
        raise RestorekitError(f"{path}: its suffix must be one of {', '.join(FORMATS)}, and is {found}")
    return FORMATS[suffix]
