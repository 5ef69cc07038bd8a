"""Collects data/photos/: all photographs of the configuration with their manifest, or nothing if a split is empty.

Every readable photograph of the user is taken once, named by its content and always in the same split.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from restorekit.config import PhotoFolder, PhotosConfig, Split
from restorekit.errors import RestorekitError
from restorekit.files import sha256_file, write_atomically
from restorekit.image import read_image
from restorekit.layouts import get_photo_layout
from restorekit.sources.folders import list_pictures
from restorekit.sources.licences import Licence, read_licences
from restorekit.sources.matching import match_photographs
from restorekit.sources.packages import EMBEDDED, copy_embedded
from restorekit.sources.photo_index import SPLITS, Photograph, PhotoManifest, in_order, split_of


@dataclass(frozen=True)
class Collection:
    """The photographs that were taken, and a sentence for each file that was left out."""

    manifest: PhotoManifest
    left_out: tuple[str, ...]

    def summary(self) -> str:
        """One line for the user."""
        photographs = self.manifest.photographs
        splits = ", ".join(f"{len(self.manifest.split(split))} {split}" for split in SPLITS)
        scenes = len({photograph.scene for photograph in photographs})
        left_out = f"; {len(self.left_out)} left out" if self.left_out else ""
        return f"{len(photographs)} photographs of {scenes} scenes: {splits}{left_out}"


@dataclass(frozen=True)
class FoundFile:
    """A file with a picture's suffix in one of the user's folders."""

    path: Path
    source: str  # relative to the folder
    licence: Licence | None = None  # where the folder states it


def collect_photographs(config: PhotosConfig, root: Path, folder: Path) -> Collection:
    """Copies the embedded photographs and those of the user's folders into `folder`, and replaces it as a whole.

    Folders are relative to `root`. Of files with equal bytes only the first is taken. Raises a RestorekitError, and
    leaves `folder` unchanged, where a folder is missing, none of the user's photographs can be used, or a split would
    be empty.
    """
    left_out: list[str] = []
    with write_atomically(folder) as partial:
        partial.mkdir()
        taken = {photograph.sha256: photograph for photograph in _embedded(config, partial, left_out)}
        found = [file for one in config.folders for file in find_files(one, root, folder.resolve().parent)]
        num_unusable = sum(not _take(file, config, partial, taken, left_out) for file in found)
        if config.folders and num_unusable == len(found):
            raise _nothing_usable(config, left_out[len(left_out) - num_unusable :])
        manifest = PhotoManifest(tuple(sorted(taken.values(), key=in_order)))
        _check_splits(manifest, config)
        manifest.save(partial)
    return Collection(manifest, tuple(left_out))


def _embedded(config: PhotosConfig, partial: Path, left_out: list[str]) -> Iterator[Photograph]:
    for embedded in EMBEDDED if config.packages else ():
        photograph = copy_embedded(embedded, partial)
        if min(photograph.width, photograph.height) >= config.min_side:
            yield photograph
            continue
        left_out.append(_too_small(f"the embedded photograph '{photograph.name}'", photograph, config))
        for file in (photograph.file, photograph.disparity):
            if file:
                (partial / file).unlink()


def _take(
    file: FoundFile, config: PhotosConfig, partial: Path, taken: dict[str, Photograph], left_out: list[str]
) -> bool:
    """Copies a user's file unless a copy of its bytes exists; False, with an added sentence, for an unusable file."""
    try:
        photograph = describe(file, config.license, config.split)
    except RestorekitError as error:
        left_out.append(str(error))
        return False
    if min(photograph.width, photograph.height) < config.min_side:
        left_out.append(_too_small(str(file.path), photograph, config))
        return False
    if photograph.sha256 not in taken:
        shutil.copyfile(file.path, partial / photograph.file)
        taken[photograph.sha256] = photograph
    return True


def _too_small(what: str, photograph: Photograph, config: PhotosConfig) -> str:
    return f"{what} is too small: {photograph.width} x {photograph.height}, photos.min_side is {config.min_side}"


def _nothing_usable(config: PhotosConfig, reasons: list[str]) -> RestorekitError:
    if not reasons:
        return RestorekitError(
            f"no JPEG, PNG, WebP or TIFF file in photos.folders: {', '.join(one.root for one in config.folders)}"
        )
    shown = "".join(f"\n  {reason}" for reason in reasons[:5])
    return RestorekitError(f"none of the {len(reasons)} files in photos.folders can be used:{shown}")


def _check_splits(manifest: PhotoManifest, config: PhotosConfig) -> None:
    empty = [split for split in SPLITS if not manifest.split(split)]
    if not empty:
        return
    total = len(manifest.photographs)
    remedies = ["add photographs to photos.folders (thirty and more are rarely short of one)"]
    if not config.packages:
        remedies.append("set photos.packages: true, which has photographs for every split")
    elif total:
        remedies.append(f"lower photos.min_side (now {config.min_side})")
    if config.folders:
        shares = ", ".join(f"{split} {getattr(config.split, split):g}" for split in SPLITS)
        remedies.append(f"change the shares in photos.split (now {shares})")
    raise RestorekitError(
        f"of {total} photographs none is for {' and '.join(empty)}: {'; or '.join(remedies)}. "
        f"Each photograph's split follows from its content, and stays when others are added"
    )


def find_files(folder: PhotoFolder, root: Path, exclude: Path) -> Iterator[FoundFile]:
    """The files with a known suffix in a folder and below it, in a fixed order, without hidden ones and `exclude`.

    The folder is relative to `root`. With a layout, the files are the photographs of the public set, which must be
    complete.
    """
    place = root / Path(folder.root).expanduser()
    names = list_pictures("photos.folders", place, exclude)
    if folder.layout is not None:
        names = _of_layout(folder, place, names)
    licences = read_licences(place)
    for name in names:
        yield FoundFile(place / name, name, licences.get(name))


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
    """The manifest's entry for a file; a RestorekitError with the path of a file that is no readable photo.

    Decodes the whole photo, so that a damaged file fails here.
    """
    photo = read_image(found.path)
    digest = sha256_file(found.path)
    stated = found.licence
    return Photograph(
        name=digest[:16],
        file=f"{digest[:16]}{found.path.suffix.lower()}",
        width=photo.width,
        height=photo.height,
        sha256=digest,
        bytes=found.path.stat().st_size,
        license=license_text if stated is None else stated.license,
        source=found.source if stated is None or not stated.credit else f"{found.source}, by {stated.credit}",
        split=split_of(digest, split),
        scene=digest[:16],
    )
