"""Pictures and masks in the user's folders: found in an order that does not depend on the machine, read by digest."""

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
    """Files with a picture's suffix below `root`, as POSIX paths, without hidden ones and the folder `exclude`.

    `where` is the parameter that names `root`, for the RestorekitError where `root` is no folder or cannot be read.
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


HOLE = 128  # least 8-bit value of a hole in a mask: white is missing
FILL = 128  # 8-bit value of a hole in a photograph, as in degradations/holes.py


@dataclass(frozen=True)
class MaskFile:
    """A mask in the user's folder."""

    file: str  # relative to the folder
    sha256: str


def find_masks(where: str, folder: Path) -> tuple[MaskFile, ...]:
    """The masks in `folder` and below it; a RestorekitError that names the parameter `where` if there are none."""
    names = list_pictures(where, folder)
    if not names:
        raise RestorekitError(f"{where}: no picture in {folder}; masks are pictures that are white where the hole is")
    return tuple(MaskFile(name, sha256_file(folder / name)) for name in names)


@lru_cache(maxsize=64)
def load_mask(folder: Path, mask: MaskFile, size: tuple[int, int]) -> np.ndarray:
    """The mask as bool (H, W), read-only, resized to `size` by nearest neighbours; its digest is verified."""
    path = folder / mask.file
    if not path.is_file() or sha256_file(path) != mask.sha256:
        raise RestorekitError(f"mask {path} is missing or not the one it was: run `dvc repro synthesize` again")
    grey = decode_grey(path.read_bytes())
    holes = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_NEAREST) >= HOLE
    holes.setflags(write=False)
    return holes
