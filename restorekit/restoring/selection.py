"""Finds the photos that a command names, and decides where each result goes before anything is loaded."""

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restorekit.errors import RestorekitError
from restorekit.image.photo import FORMATS, ONLY_READ, format_of

RESTORED = ".restored"  # in the name of every result, so that no search takes a result for a photo
COMPARE = ".compare.jpg"  # ends the name of a before/after picture, after the name of the result

SUFFIXES = (*FORMATS, *ONLY_READ)


@dataclass(frozen=True)
class Found:
    """A photo, and its folder below the searched folder ("." for a photo that was named itself)."""

    photo: Path
    below: Path = Path()


@dataclass(frozen=True)
class Errand:
    """A photo and the file of its result."""

    photo: Path
    target: Path
    below: Path = Path()

    @property
    def compare(self) -> Path:
        """The file of the before/after picture."""
        return self.target.with_name(self.target.name + COMPARE)


def is_result(name: str) -> bool:
    """Whether a file's name is that of a result of ours."""
    return f"{RESTORED}." in name or name.endswith(COMPARE)


def result_name(photo: str) -> str:
    """The name of the result beside a photo, or its path beside a photo's path: rain.jpg -> rain.restored.jpg."""
    suffix = Path(photo).suffix
    return f"{photo.removesuffix(suffix)}{RESTORED}{ONLY_READ.get(suffix.lower(), suffix)}"


def find_photos(arguments: Iterable[str], recursive: bool = False) -> tuple[list[Found], list[str]]:
    """The photos that files, folders and patterns name, each once, and a sentence for each name without a photo.

    A folder gives its photos by suffix, sorted, with `recursive` also those of the folders below; a pattern (`*`, `?`,
    `[...]`, `**`) gives the photos that match. Both leave out hidden files and results of ours. A file that exists is
    never taken for a pattern. Links to folders are not followed.
    """
    found: dict[Path, Found] = {}
    problems: list[str] = []
    for argument in arguments:
        path = Path(argument)
        try:
            ones = list(_folder(path, recursive)) if is_folder(path) else _file_or_pattern(argument)
        except RestorekitError as error:
            problems.append(str(error))
            continue
        for one in ones:
            found.setdefault(_place(one.photo), one)
    return list(found.values()), problems


def _folder(folder: Path, recursive: bool) -> Iterator[Found]:
    def refuse(error: OSError) -> None:
        raise RestorekitError(f"the folder {error.filename} cannot be read: {error.strerror}") from error

    count = 0
    for place, below, names in os.walk(folder, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith(".")) if recursive else []
        for name in sorted(names):
            if is_photo(name):
                count += 1
                yield Found(Path(place, name), Path(place).relative_to(folder))
    if count == 0:
        deeper = "" if recursive else "; --recursive looks into the folders below, too"
        raise RestorekitError(f"no photo in {folder} ({', '.join(SUFFIXES)}){deeper}")


def _file_or_pattern(argument: str) -> list[Found]:
    path = Path(argument)
    if not os.path.lexists(path) and glob.has_magic(argument):
        names = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - a Path's pattern cannot be absolute
        found = [Found(Path(name)) for name in names if is_photo(Path(name).name) and not is_folder(Path(name))]
        if not found:
            raise RestorekitError(f"no photo matches {argument}")
        return found
    try:
        path.stat()
    except FileNotFoundError:
        raise RestorekitError(f"no photo at {path}") from None
    except OSError as error:
        raise RestorekitError(f"{path} cannot be read: {error.strerror}") from error
    return [Found(path)]


def is_photo(name: str) -> bool:
    """Whether a search takes a file of this name for a photo: by its suffix, not hidden and no result of ours."""
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".") and not is_result(name)


def plan(
    found: Sequence[Found], output: str | None = None, masks: Sequence[Path] = (), compare: bool = False
) -> tuple[list[Errand], list[str]]:
    """An errand for each photo, and a sentence for each photo whose result would overwrite an input or another result.

    `output` is a file for one photo, or a folder: one that exists, a name without a suffix, or one that ends with "/".
    In a folder, results lie below it as the photos below the searched folder. Without `output` a result lies beside
    its photo. Raises a RestorekitError where one file is named for several photos.
    """
    folder = _output_folder(output)
    if output is not None and folder is None:
        if len(found) > 1:
            raise RestorekitError(
                f"--output {output} is one file for {len(found)} photos: name a folder, with / at its end"
            )
        format_of(Path(output))
    inputs = identities([*(one.photo for one in found), *masks])
    errands: list[Errand] = []
    problems: list[str] = []
    taken: dict[Path, Path] = {}
    for one in found:
        name = result_name(one.photo.name)
        if output is None:
            target = one.photo.with_name(name)
        else:
            target = Path(output) if folder is None else folder / one.below / name
        errand = Errand(one.photo, target, one.below)
        try:
            format_of(target)
            for file in (target, errand.compare) if compare else (target,):
                refuse_inputs(file, inputs)
            if _place(target) in taken:
                raise RestorekitError(
                    f"{one.photo}: {taken[_place(target)]} goes to {target} already; restore it on its own"
                )
        except RestorekitError as error:
            problems.append(str(error))
        else:
            taken[_place(target)] = one.photo
            errands.append(errand)
    return errands, problems


def _output_folder(output: str | None) -> Path | None:
    """The folder that `output` names, or None for a file."""
    if output is None:
        return None
    path = Path(output)
    if is_folder(path) or output.endswith(("/", os.sep)) or not path.suffix:
        if os.path.lexists(path) and not is_folder(path):
            raise RestorekitError(f"--output {path} is a file without a photo's suffix: name a folder or another file")
        return path
    return None


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False where it cannot be looked at."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def identities(files: Iterable[Path]) -> set[tuple[int, int]]:
    """Device and inode of each file that exists: the same for all names of one file."""
    return {identity for file in files if (identity := _identity(file)) is not None}


def refuse_inputs(target: Path, inputs: set[tuple[int, int]]) -> None:
    """Raises a RestorekitError where `target` is one of the files whose `identities` are given, under any name."""
    if _identity(target) in inputs:
        raise RestorekitError(f"{target} is the photo itself and will not be overwritten: name another --output")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:  # whoever reads or writes the file says what is wrong with it
        return None
    return found.st_dev, found.st_ino


def _place(path: Path) -> Path:
    """One path for all ways to write it; a link in its last part stays a path of its own."""
    return path.parent.resolve() / path.name
