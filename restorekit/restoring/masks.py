"""Users' masks: one for all photos, a folder of masks by name, or a colour painted into the photo."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from restorekit.errors import RestorekitError
from restorekit.image import FORMATS, Photo, read_mask, to_uint8
from restorekit.restoring.selection import Errand, Found, is_folder

MUCH = 0.5  # a larger share of missing pixels is more often a mask the wrong way round than a wish
# Levels of 255 by which a painted pixel may differ from the colour in each channel. A profile's conversion moves a
# colour by a few levels, JPEG's by tens, most of all at edges, which --grow takes in.
TOLERANCE = {True: 8, False: 48}  # by whether the photo's file is lossless


@dataclass(frozen=True)
class MaskSource:
    """The masks of a command: a file or a folder at `path`, or a `colour`; grown by `grow` pixels."""

    path: Path | None = None
    colour: tuple[int, int, int] | None = None
    invert: bool = False
    grow: int = 0

    def files(self, found: Iterable[Found]) -> list[Path]:
        """The masks' files that exist, so that no result overwrites them."""
        if self.path is None:
            return []
        if not is_folder(self.path):
            return [self.path]
        return [file for one in found for file in self._named(one)]

    def of(self, errand: Errand, photo: Photo, note: Callable[[str], None]) -> np.ndarray:
        """The mask of a photo, float32 (H, W), 1 = missing; a RestorekitError where there is none that fits."""
        size = (photo.height, photo.width)
        if self.colour is not None:
            mask = painted(photo, self.colour, errand.photo)
        else:
            mask = read_mask(self.file_of(errand), size, self.invert)
        mask = grown(mask, self.grow)
        if mask.all():
            raise RestorekitError(f"the mask of {errand.photo} covers all of it: nothing is left to go by")
        if mask.mean() > MUCH and self.colour is None:
            turn = "leave --invert-mask out to turn it round" if self.invert else "--invert-mask turns it round"
            colour = "black" if self.invert else "white"
            note(f"more than half of the photo is missing: is the mask {colour} where something is missing? {turn}")
        if errand.target.suffix.lower() in (".jpg", ".jpeg"):
            note(f"a JPEG changes all pixels a little; with {errand.target.stem}.png those outside stay")
        return mask

    def file_of(self, errand: Errand) -> Path:
        """The mask's file of a photo: `path`, or the file of the photo's name and any suffix in the folder `path`."""
        assert self.path is not None
        if not is_folder(self.path):
            return self.path
        found = self._named(errand)
        if len(found) == 1:
            return found[0]
        wanted = self.path / errand.below / f"{errand.photo.stem}.png"
        if found:
            names = ", ".join(file.name for file in found)
            raise RestorekitError(f"{errand.photo} has several masks in {found[0].parent} ({names}): leave one there")
        raise RestorekitError(f"no mask for {errand.photo} in {self.path}: it must be called {wanted}, or .jpg, .tif")

    def _named(self, one: Errand | Found) -> list[Path]:
        assert self.path is not None
        folder = self.path / one.below
        files = (folder / f"{one.photo.stem}{suffix}" for suffix in sorted(FORMATS))
        return [file for file in files if file.is_file()]


def parse_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour as the web writes it: #ff00ff, or #f0f; the # may be left out."""
    digits = text.strip().removeprefix("#")
    if re.fullmatch("[0-9a-fA-F]{3}", digits):
        digits = "".join(digit * 2 for digit in digits)
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise RestorekitError(f"--mask-colour {text} is no colour: write it as #ff00ff, red, green and blue in hex")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def painted(photo: Photo, colour: tuple[int, int, int], path: Path) -> np.ndarray:
    """The mask float32 (H, W) of the pixels that have the colour, within the tolerance of the file's compression."""
    apart = np.abs(to_uint8(photo.pixels).astype(np.int16) - np.array(colour, np.int16)).max(axis=2)
    mask = (apart <= TOLERANCE[photo.lossless]).astype(np.float32)
    if not mask.any():
        raise RestorekitError(f"{path} has no pixel of the colour #{bytes(colour).hex()}: nothing is missing")
    return mask


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask (H, W) with every missing part wider by a disc of radius `pixels`."""
    if pixels == 0:
        return mask
    to_hole = cv2.distanceTransform((mask == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (to_hole <= pixels).astype(np.float32)
