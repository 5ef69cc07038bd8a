"""The user's own photographs: every readable one once, under the name of its content, always in the same split."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from restorekit.config import Split
from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.image import FORMATS, read_image
from restorekit.rng import seed_for
from restorekit.sources.manifest import Photograph, SplitName


@dataclass(frozen=True)
class FoundFile:
    """A file with a photograph's suffix, in one of the user's folders."""

    path: Path
    source: str  # relative to the folder it was found in


def find_files(folder: Path, exclude: Path) -> Iterator[FoundFile]:
    """The files with a known suffix in `folder` and below, in a fixed order; none that is hidden or in `exclude`."""
    if not folder.is_dir():
        raise RestorekitError(f"photos.folders: no folder at {folder}")
    for place, subfolders, names in os.walk(folder, onerror=_unreadable):
        here = Path(place)
        subfolders[:] = sorted(n for n in subfolders if not n.startswith(".") and (here / n).resolve() != exclude)
        for name in sorted(names):
            path = here / name
            if path.suffix.lower() in FORMATS and not name.startswith("."):
                yield FoundFile(path, path.relative_to(folder).as_posix())


def _unreadable(error: OSError) -> None:
    raise RestorekitError(f"photos.folders: {error.filename} cannot be read: {error.strerror}") from error


def describe(found: FoundFile, license_text: str, split: Split) -> Photograph:
    """What the manifest says of a file; a RestorekitError with its path where it is no readable photo.

    The whole photo is decoded, to know now that it can be, and let go of.
    """
    photo = read_image(found.path)
    digest = sha256_file(found.path)
    return Photograph(
        name=digest[:16],
        file=f"{digest[:16]}{found.path.suffix.lower()}",
        width=photo.width,
        height=photo.height,
        sha256=digest,
        bytes=found.path.stat().st_size,
        license=license_text,
        source=found.source,
        split=split_of(digest, split),
        scene=digest[:16],
    )


def split_of(digest: str, split: Split) -> SplitName:
    """The split of a photograph, from its content alone: other photographs, names and folders change nothing."""
    place = seed_for(0, "split", digest) / 2**64
    if place < split.train:
        return "train"
    return "val" if place < split.train + split.val else "test"
