"""Free photographs that need no download from a page: in Debian's packages, and in the installed Python packages.

Only CC0, CC-BY and the public domain: weights that were trained on them can be given away. A folder holds the files and
`licences.json`, which names licence, author and package of each.

python -m restorekit.sources.free photos-free
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.files import write_atomically, write_json
from restorekit.image import FORMATS
from restorekit.sources.licences import LICENCES, Licence, debian_licences, licence_of
from restorekit.sources.packages import EMBEDDED, file_of


@dataclass(frozen=True)
class Package:
    """A package of Debian with photographs under free licences; patterns of paths say which pictures are wanted."""

    name: str
    wanted: str = "*"
    unwanted: tuple[str, ...] = ()


# Not every release has them all.
DEBIAN = (
    Package("lomiri-wallpapers-16.04", unwanted=("*/umang_by_Abhishek_Mudgal.jpg",)),  # a drawing
    Package("budgie-backgrounds"),
    # Landscapes, towns, halls, of 720 x 360 pixels. Names with a dash end in an author, whose pictures are share-alike
    # even where a later pattern of the package's list covers them by chance. Fog is no clean photograph.
    Package("endless-sky-data", "*/images/land/*", ("*/land/*-*", "*/fog*", "*/earthrise*", "*/nasa[89]*")),
)
HOPPER = Licence(license="public domain", author="James S. Davis, US Navy", source="matplotlib: Grace Hopper")


@dataclass(frozen=True)
class Gathered:
    """The number of files from each package, and a sentence for each package that gave none."""

    counts: dict[str, int]
    left_out: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is replaced as a whole")
    folder = parser.parse_args().folder
    gathered = gather_free(folder)
    for package, count in gathered.counts.items():
        print(f"{package}: {count} photographs")
    for reason in gathered.left_out:
        print(f"left out: {reason}", file=sys.stderr)
    print(f"name the folder in params.yaml: photos: {{packages: false, folders: [{folder}]}}")


def gather_free(folder: Path, packages: tuple[Package, ...] = DEBIAN) -> Gathered:
    """Writes the free photographs of `packages` and of the installed Python packages into `folder`, replacing it.

    Uses `apt-get download` and `dpkg-deb -x`, and installs nothing. Where a package cannot be had it is left out.
    """
    counts: dict[str, int] = {}
    left_out: list[str] = []
    stated: dict[str, Licence] = {}
    with write_atomically(folder) as partial:
        partial.mkdir()
        for name, file, licence in _installed():
            shutil.copyfile(file, partial / name)
            stated[name] = licence
        counts["Python packages"] = len(stated)
        for package in packages:
            try:
                found = dict(_of_debian(package, partial))
            except RestorekitError as error:
                left_out.append(f"{package.name}: {error}")
                continue
            stated |= found
            counts[package.name] = len(found)
        write_json(partial / LICENCES, {name: licence.model_dump() for name, licence in sorted(stated.items())})
    return Gathered(counts, tuple(left_out))


def _installed() -> Iterator[tuple[str, Path, Licence]]:
    """Name, file and licence of the free photographs in installed Python packages."""
    for one in EMBEDDED:
        licence = Licence(license=one.license, source=one.source)
        if licence.is_free:
            file = file_of(one.package, one.path)
            yield f"{one.name}{file.suffix}", file, licence
    yield "hopper.jpg", file_of("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"), HOPPER


def _of_debian(package: Package, folder: Path) -> Iterator[tuple[str, Licence]]:
    """Copies the free photographs of one package into `folder`; name and licence of each."""
    with TemporaryDirectory() as scratch:
        _run("apt-get", "download", "-qq", package.name, cwd=scratch)
        archive = next(Path(scratch).glob("*.deb"), None)
        if archive is None:
            raise RestorekitError("apt-get downloaded nothing")
        content = Path(scratch) / "content"
        _run("dpkg-deb", "-x", str(archive), str(content), cwd=scratch)
        yield from copy_free(content, package, folder)


def copy_free(content: Path, package: Package, folder: Path) -> Iterator[tuple[str, Licence]]:
    """Copies the wanted free photographs of an unpacked package into `folder`; name and licence of each."""
    stated = content / "usr/share/doc" / package.name / "copyright"
    if not stated.is_file():
        raise RestorekitError("the package states no licences")
    licences = debian_licences(stated.read_text(encoding="utf-8"))
    for file in sorted(content.rglob("*")):
        path = file.relative_to(content).as_posix()
        if (
            file.is_symlink()
            or file.suffix.lower() not in FORMATS
            or not file.is_file()
            or not _is_wanted(path, package)
        ):
            continue
        licence = licence_of(path, licences)
        if licence is not None and licence.is_free:
            shutil.copyfile(file, folder / file.name)
            yield file.name, licence.model_copy(update={"source": f"Debian package {package.name}"})


def _is_wanted(path: str, package: Package) -> bool:
    return fnmatchcase(path, package.wanted) and not any(fnmatchcase(path, one) for one in package.unwanted)


def _run(*command: str, cwd: str) -> None:
    if shutil.which(command[0]) is None:
        raise RestorekitError(f"{command[0]} is missing: on Debian it is there; elsewhere bring your own photographs")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))), "it failed")
        raise RestorekitError(f"{' '.join(command[:2])}: {reason}")


if __name__ == "__main__":
    run_entry(main)
