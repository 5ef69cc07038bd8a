"""The manifest of data/photos/: which photographs there are, whose they are, and to which split each belongs.

manifest.json is a header: the digest, and how many photographs each split has. photographs.jsonl has a line for each of
them, by split, scene and name, and photographs.index where each line begins, so that a million of them are read one at
a time by whoever needs some.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from restorekit.config import Split
from restorekit.errors import RestorekitError, unknown_name
from restorekit.files import read_json, sha256_file, write_beside, write_json
from restorekit.image import read_image, to_uint8
from restorekit.rng import seed_for
from restorekit.storage import fetch_file

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

_NAME, _LINES, _INDEX = "manifest.json", "photographs.jsonl", "photographs.index"
_PLACE = 8  # bytes of a line's beginning in the index
_REMEDY = "run `python -m pipelines.photos`"


@dataclass(frozen=True)
class Photograph:
    """One file beside the manifest, byte for byte as its source has it."""

    name: str  # unique within the manifest
    file: str  # relative to the manifest's folder
    width: int  # pixels, upright
    height: int
    sha256: str
    bytes: int
    license: str
    source: str  # package and author, or the path below the user's folder
    split: SplitName
    scene: str  # views of one scene share it, and a split
    disparity: str | None = None  # an .npy file beside it: float32 (H, W), larger is nearer, NaN where unknown
    disparity_sha256: str | None = None


def split_of(digest: str, split: Split) -> SplitName:
    """The split of a photograph, from its content alone: other photographs, names and folders change nothing."""
    place = seed_for(0, "split", digest) / 2**64
    if place < split.train:
        return "train"
    return "val" if place < split.train + split.val else "test"


@dataclass(frozen=True)
class LoadedPhotograph:
    """A photograph's arrays."""

    pixels: np.ndarray  # uint8 (H, W, 3) sRGB, upright
    disparity: np.ndarray | None  # float32 (H, W), larger is nearer, NaN where unknown


@dataclass(frozen=True)
class PhotoManifest:
    """Photographs with unique names; no scene lies in two splits."""

    photographs: tuple[Photograph, ...]

    def __post_init__(self) -> None:
        names: set[str] = set()
        splits: dict[str, SplitName] = {}
        for photograph in self.photographs:
            if photograph.name in names:
                raise RestorekitError(f"two photographs are named '{photograph.name}'")
            names.add(photograph.name)
            if splits.setdefault(photograph.scene, photograph.split) != photograph.split:
                raise RestorekitError(f"the scene '{photograph.scene}' is in two splits")

    @cached_property
    def digest(self) -> str:
        """Changes with what is trained on: names, contents, scenes and splits; not with licence or source texts."""
        content = hashlib.sha256()
        for photograph in sorted(self.photographs, key=in_order):
            content.update(_content(photograph))
        return content.hexdigest()

    def split(self, name: str) -> tuple[Photograph, ...]:
        """The photographs of "train", "val" or "test"."""
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
        return tuple(photograph for photograph in self.photographs if photograph.split == name)

    def save(self, folder: Path) -> None:
        """Writes the manifest's files into `folder`."""
        save_photographs(folder, sorted(self.photographs, key=in_order))

    @staticmethod
    def load(folder: Path) -> "PhotoManifest":
        """Reads all of a manifest; a RestorekitError where it is missing, damaged or changed by hand."""
        index = PhotoIndex.open(folder)
        index.verify()
        return PhotoManifest(tuple(photograph for split in SPLITS for photograph in index.photographs(split)))


@dataclass(frozen=True)
class PhotoIndex:
    """A manifest as it lies in its folder: only the header is held, however many photographs there are."""

    folder: Path
    digest: str
    counts: tuple[int, ...]  # by split
    lines_sha256: str

    @staticmethod
    def open(folder: Path) -> "PhotoIndex":
        """Reads the header; a RestorekitError where it is missing, of another version, or the lines are not there."""
        path = fetch_file(folder / _NAME)
        value = read_json(path, "manifest of photographs", _REMEDY)
        try:
            if value["format"] != 2:
                raise KeyError("format")
            counts = tuple(int(value["photographs"][split]) for split in SPLITS)
            index = PhotoIndex(folder, str(value["digest"]), counts, str(value["lines_sha256"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RestorekitError(f"{path} is no manifest of photographs of this version: {_REMEDY}") from error
        for name, size in ((_INDEX, _PLACE * (sum(counts) + 1)), (_LINES, None)):
            file = fetch_file(folder / name, index.lines_sha256 if name == _LINES else None)
            if not file.is_file() or (size is not None and file.stat().st_size != size):
                raise RestorekitError(f"{file} does not belong to {path}: {_REMEDY}")
        return index

    def verify(self) -> None:
        """Reads every line, one after the other; a RestorekitError where they are not those that were written."""
        content = hashlib.sha256()
        if sha256_file(self.folder / _LINES) == self.lines_sha256:
            for split in SPLITS:
                for photograph in self.photographs(split):
                    content.update(_content(photograph))
        if content.hexdigest() != self.digest:
            raise RestorekitError(f"{self.folder / _NAME} does not agree with {_LINES}, so one was changed: {_REMEDY}")

    def count(self, split: str) -> int:
        """The number of photographs in "train", "val" or "test"."""
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        return self.counts[SPLITS.index(split)]

    def photographs(self, split: SplitName, start: int = 0, stop: int | None = None) -> Iterator[Photograph]:
        """Photographs number `start` to `stop` of a split, in the order of scene and name."""
        stop = self.count(split) if stop is None else stop
        first = sum(self.counts[: SPLITS.index(split)])
        with (self.folder / _INDEX).open("rb") as places, (self.folder / _LINES).open("rb") as lines:
            places.seek(_PLACE * (first + start))
            lines.seek(int.from_bytes(places.read(_PLACE), "little"))
            for _ in range(start, stop):
                yield _photograph(lines.readline(), split, self.folder)

    def photograph(self, split: SplitName, number: int) -> Photograph:
        """Photograph number 0, 1, ... of a split."""
        return next(self.photographs(split, number, number + 1))

    def find(self, split: SplitName, scene: str, name: str) -> Photograph:
        """The photograph of a record; a RestorekitError where there is none of this scene and name."""
        number = self._first(split, (scene, name))
        if number < self.count(split) and (found := self.photograph(split, number)).name == name:
            return found
        raise RestorekitError(f"no photograph '{name}' is in the split '{split}' of {self.folder / _NAME}: {_REMEDY}")

    def of_scene(self, split: SplitName, scene: str) -> range:
        """The numbers of a scene's photographs, which follow each other."""
        return range(self._first(split, (scene, "")), self._first(split, (scene + "\0", "")))

    def _first(self, split: SplitName, place: tuple[str, str]) -> int:
        """The number of the first photograph at or after (scene, name), by bisection."""
        low, high = 0, self.count(split)
        while low < high:
            middle = (low + high) // 2
            photograph = self.photograph(split, middle)
            low, high = (middle + 1, high) if (photograph.scene, photograph.name) < place else (low, middle)
        return low


def in_order(photograph: Photograph) -> tuple[int, str, str]:
    """What photographs are sorted by: split, scene, name."""
    return SPLITS.index(photograph.split), photograph.scene, photograph.name


def save_photographs(folder: Path, photographs: Iterable[Photograph]) -> None:
    """Writes the files of a manifest, one photograph at a time; they come `in_order` and are as PhotoManifest has them.

    A ValueError says which is out of order or there twice.
    """
    counts = dict.fromkeys(SPLITS, 0)
    content, place, last = hashlib.sha256(), 0, (0, "", "")
    with write_beside(folder / _LINES) as lines, write_beside(folder / _INDEX) as index:
        with lines.open("wb") as line_file, index.open("wb") as index_file:
            index_file.write(bytes(_PLACE))
            for photograph in photographs:
                if in_order(photograph) <= last:
                    raise ValueError(f"photograph '{photograph.name}' is out of order")
                last = in_order(photograph)
                counts[photograph.split] += 1
                content.update(_content(photograph))
                place += line_file.write(_ENCODER.encode(vars(photograph)).encode() + b"\n")
                index_file.write(place.to_bytes(_PLACE, "little"))
        digest = sha256_file(lines)
    header = {"format": 2, "digest": content.hexdigest(), "photographs": counts, "lines_sha256": digest}
    write_json(folder / _NAME, header)


_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False)
_KNOWN = {field.name for field in fields(Photograph)}


def _content(photograph: Photograph) -> bytes:
    """What of a photograph the digest holds."""
    p = photograph
    return (_ENCODER.encode([p.name, p.sha256, p.disparity_sha256, p.scene, p.split]) + "\n").encode()


def _photograph(line: bytes, split: SplitName, folder: Path) -> Photograph:
    try:
        entry: dict[str, Any] = json.loads(line)
        if set(entry) != _KNOWN or entry["split"] != split:
            raise ValueError(f"found {entry}")
        return Photograph(**entry)
    except (ValueError, TypeError) as error:
        where = f"a line of {folder / _LINES}"
        raise RestorekitError(f"{where} is not that of a photograph for {split} ({error}): {_REMEDY}") from error


def load_photograph(folder: Path, photograph: Photograph) -> LoadedPhotograph:
    """Reads a photograph (and its disparity) from the manifest's folder, once its bytes are those of the manifest."""
    path = fetch_file(folder / photograph.file, photograph.sha256)
    _verified(path, photograph.sha256)
    pixels = to_uint8(read_image(path).pixels)
    if photograph.disparity is None or photograph.disparity_sha256 is None:
        return LoadedPhotograph(pixels, None)
    disparity = fetch_file(folder / photograph.disparity, photograph.disparity_sha256)
    data = _verified(disparity, photograph.disparity_sha256)
    return LoadedPhotograph(pixels, np.load(io.BytesIO(data), allow_pickle=False))


def _verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RestorekitError(f"the photograph {path} cannot be read ({error.strerror}): {_REMEDY}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RestorekitError(f"the photograph {path} is not the one of the manifest: {_REMEDY}")
    return data
