"""The pictures in a folder of the user's and below it, by name, in an order that does not depend on the machine."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.image import FORMATS, decode_grey


def list_pictures(where: str, root: Path, exclude: Path | None = None) -> list[str]:
    """Files with a picture's suffix below `root`, as POSIX paths; none that is hidden or in the folder `exclude`.

    `where` names the parameters that name `root`; a RestorekitError says so where it is no folder, or a folder below it
    cannot be read.
    """
    if not root.is_dir():
        raise RestorekitError(f"{where}: no folder at {root}")

    def unreadable(error: OSError) -> None:
        raise RestorekitError(f"{where}: {error.filename} cannot be read: {error.strerror}") from error

    names: list[str] = []
    for place, folders, files in os.walk(root, onerror=unreadable):
        here = Path(place)
        folders[:] = sorted(
            n for n in folders if not n.startswith((".", "__MACOSX")) and (here / n).resolve() != exclude
        )
        below = here.relative_to(root)
        names += [
            (below / name).as_posix()
            for name in sorted(files)
            if Path(name).suffix.lower() in FORMATS and not name.startswith(".")
        ]
    return names


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
