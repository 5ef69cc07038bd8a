"""The user's own photographs: every readable one once, under the name of its content, always in the same split."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from restorekit.config import PhotoFolder, Split
from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.image import read_image
from restorekit.layouts import get_photo_layout
from restorekit.rng import seed_for
from restorekit.sources.listing import list_pictures
from restorekit.sources.manifest import Photograph, SplitName
from restorekit.sources.matching import match_photographs


@dataclass(frozen=True)
class FoundFile:
    """A file with a photograph's suffix, in one of the user's folders."""

    path: Path
    source: str  # relative to the folder it was found in


def find_files(folder: PhotoFolder, root: Path, exclude: Path) -> Iterator[FoundFile]:
    """The files with a known suffix in a folder and below, in a fixed order; none that is hidden or in `exclude`.

    The folder lies relative to `root`. With a layout its photographs are those of the public set, and all of them must
    be there.
    """
    place = root / Path(folder.root).expanduser()
    names = list_pictures("photos.folders", place, exclude)
    if folder.layout is not None:
        names = _of_layout(folder, place, names)
    for name in names:
        yield FoundFile(place / name, name)


def _of_layout(folder: PhotoFolder, place: Path, names: list[str]) -> list[str]:
    layout = get_photo_layout(folder.layout or "")
    matched = match_photographs(layout, names)
    wanted = folder.photographs if folder.photographs is not None else layout.photographs
    if not matched or (wanted is not None and len(matched) != wanted):
        stated = "any" if wanted is None else str(wanted)
        raise RestorekitError(
            f"photos.folders: photographs of layout '{folder.layout}' in {place}: {len(matched)}, expected are "
            f"{stated}: complete the folder, or say so with photographs: {len(matched)}\n    {layout.says}"
        )
    return list(matched)


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
