"""Masks of holes from a folder of the user's: found in a fixed order, known by digest, white where the hole is."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.image import decode_grey
from restorekit.sources.listing import list_pictures

HOLE = 128  # 8-bit value from which on a pixel is a hole
FILL = 128  # 8-bit value that a hole is shown with, that of degradations/holes.py


@dataclass(frozen=True)
class MaskFile:
    """A picture in the folder of masks."""

    file: str  # relative to the folder
    sha256: str


def find_masks(where: str, folder: Path) -> tuple[MaskFile, ...]:
    """The pictures in `folder` and below; a RestorekitError, which names `where` in params.yaml, if there is none."""
    names = list_pictures(where, folder)
    if not names:
        raise RestorekitError(f"{where}: no picture in {folder}; masks are pictures that are white where the hole is")
    return tuple(MaskFile(name, sha256_file(folder / name)) for name in names)


@lru_cache(maxsize=64)
def load_mask(folder: Path, mask: MaskFile, size: tuple[int, int]) -> np.ndarray:
    """The mask as bool (H, W), read-only, resized to `size` without new values; it is verified by its digest."""
    path = folder / mask.file
    if not path.is_file() or sha256_file(path) != mask.sha256:
        raise RestorekitError(f"mask {path} is missing or not the one it was: run `dvc repro synthesize` again")
    grey = decode_grey(path.read_bytes())
    holes = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_NEAREST) >= HOLE
    holes.setflags(write=False)
    return holes
