"""The photographs of data/photos/: size, content, source, licence, scene and split of each.

photographs.sqlite has one row for each photograph, numbered by split, scene and name, so that one of a million is found
without reading the others. manifest.json is the header: the digest, the number of photographs in each split, and the
SHA-256 of the table.
"""

import hashlib
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from restorekit.config import Split
from restorekit.errors import RestorekitError, unknown_name
from restorekit.files import read_json, sha256_file, write_atomically, write_json
from restorekit.image import read_image, to_uint8
from restorekit.rng import seed_for
from restorekit.storage import fetch_file

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
FORMAT = 3  # 1 and 2 listed the photographs as JSON
TABLE = "photographs.sqlite"

_NAME = "manifest.json"
_REMEDY = "run `dvc repro photos`"


@dataclass(frozen=True)
class Photograph:
    """One file in the manifest's folder, with the same bytes as its source."""

    name: str  # unique within the manifest
    file: str  # relative to the manifest's folder
    width: int  # pixels, upright
    height: int
    sha256: str
    bytes: int
    license: str
    source: str  # package and author, or the path below the user's folder
    split: SplitName
    scene: str  # all views of one scene have the same split
    disparity: str | None = None  # an .npy file: float32 (H, W), larger is nearer, NaN where unknown
    disparity_sha256: str | None = None


@dataclass(frozen=True)
class LoadedPhotograph:
    """A photograph's arrays."""

    pixels: np.ndarray  # uint8 (H, W, 3) sRGB, upright
    disparity: np.ndarray | None  # float32 (H, W), larger is nearer, NaN where unknown


def split_of(digest: str, split: Split) -> SplitName:
    """The split of a photograph, from the digest of its content alone, whatever its name or the other photographs."""
    place = seed_for(0, "split", digest) / 2**64
    if place < split.train:
        return "train"
    return "val" if place < split.train + split.val else "test"


@dataclass(frozen=True)
class PhotoManifest:
    """All photographs of a folder in memory: their names are unique, and no scene lies in two splits."""

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
        """SHA-256 of the names, contents, scenes and splits, without licences and sources."""
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
        """Writes the table and its header into `folder`."""
        save_photographs(folder, sorted(self.photographs, key=in_order))

    @staticmethod
    def load(folder: Path) -> "PhotoManifest":
        """Reads all photographs; a RestorekitError where the manifest is missing, damaged or edited."""
        index = PhotoIndex.open(folder)
        index.verify()
        return PhotoManifest(tuple(photograph for split in SPLITS for photograph in index.photographs(split)))


@dataclass(frozen=True)
class PhotoIndex:
    """The photographs of a folder, read one at a time: only the header is held in memory."""

    folder: Path
    digest: str
    counts: tuple[int, ...]  # by split
    table_sha256: str

    @staticmethod
    def open(folder: Path) -> "PhotoIndex":
        """Reads the header; a RestorekitError where the header is missing or of another format, or not the table's."""
        path = fetch_file(folder / _NAME)
        value = read_json(path, "manifest of photographs", _REMEDY)
        found = value.get("format") if isinstance(value, dict) else None
        if found != FORMAT:
            raise RestorekitError(
                f"{path} is a manifest of photographs of format {found}, this version reads {FORMAT}: {_REMEDY}"
            )
        try:
            counts = tuple(int(value["photographs"][split]) for split in SPLITS)
            index = PhotoIndex(folder, str(value["digest"]), counts, str(value["table_sha256"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RestorekitError(f"{path} is no manifest of photographs ({error}): {_REMEDY}") from error
        table = fetch_file(folder / TABLE, index.table_sha256)
        if not table.is_file() or index._last() != sum(counts) - 1:
            raise RestorekitError(f"{table} does not belong to {path}: {_REMEDY}")
        return index

    def verify(self) -> None:
        """Reads the whole table; a RestorekitError where its bytes are not those of the header's SHA-256."""
        content = hashlib.sha256()
        if sha256_file(self.folder / TABLE) == self.table_sha256:
            for split in SPLITS:
                for photograph in self.photographs(split):
                    content.update(_content(photograph))
        if content.hexdigest() != self.digest:
            raise RestorekitError(
                f"{self.folder / _NAME} and {TABLE} do not agree, so one of them was changed: {_REMEDY}"
            )

    def count(self, split: str) -> int:
        """The number of photographs in "train", "val" or "test"."""
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        return self.counts[SPLITS.index(split)]

    def photographs(self, split: SplitName, start: int = 0, stop: int | None = None) -> Iterator[Photograph]:
        """Photographs number `start` to `stop` of a split, in the order of scene and name."""
        stop = self.count(split) if stop is None else stop
        first = sum(self.counts[: SPLITS.index(split)])
        where = "number >= ? AND number < ? ORDER BY number"
        for row in self._select(f"SELECT {_COLUMNS} FROM photographs WHERE {where}", first + start, first + stop):
            photograph = self._photograph(row)
            if photograph.split != split:
                raise RestorekitError(
                    f"{self.folder / TABLE} has '{photograph.name}' among the photographs for {split}: {_REMEDY}"
                )
            yield photograph

    def photograph(self, split: SplitName, number: int) -> Photograph:
        """Photograph number 0, 1, ... of a split."""
        (found,) = self.photographs(split, number, number + 1)
        return found

    def find(self, split: SplitName, scene: str, name: str) -> Photograph:
        """The photograph that a record names; a RestorekitError where the split has no such scene and name."""
        where = "name = ? AND scene = ? AND split = ?"
        for row in self._select(f"SELECT {_COLUMNS} FROM photographs WHERE {where}", name, scene, split):
            return self._photograph(row)
        raise RestorekitError(f"no photograph '{name}' is in the split '{split}' of {self.folder / _NAME}: {_REMEDY}")

    def of_scene(self, split: SplitName, scene: str) -> range:
        """The numbers of a scene's photographs, which are consecutive."""
        where = "scene = ? AND split = ?"
        ((low, count),) = self._select(f"SELECT min(number), count(*) FROM photographs WHERE {where}", scene, split)
        first = 0 if low is None else low - sum(self.counts[: SPLITS.index(split)])
        return range(first, first + count)

    def _photograph(self, row: tuple[Any, ...]) -> Photograph:
        photograph = Photograph(*row)
        for file in (photograph.file, photograph.disparity):
            if file is not None and (Path(file).is_absolute() or ".." in Path(file).parts):
                raise RestorekitError(f"{self.folder / TABLE} names '{file}', which is outside its folder: {_REMEDY}")
        return photograph

    def _last(self) -> int:
        ((last,),) = self._select("SELECT max(number) FROM photographs")
        return -1 if last is None else int(last)

    def _select(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a query. Every query opens the file anew, in 0.3 ms: no connection is shared or left open."""
        # "immutable": no locks, which shared folders of a cluster often lack.
        address = f"{(self.folder / TABLE).absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True)) as table:
                yield from table.execute(query, values)
        except sqlite3.Error as error:
            raise RestorekitError(f"{self.folder / TABLE} cannot be read ({error}): {_REMEDY}") from error


def in_order(photograph: Photograph) -> tuple[int, str, str]:
    """The sort key of photographs: split, scene, name."""
    return SPLITS.index(photograph.split), photograph.scene, photograph.name


def save_photographs(folder: Path, photographs: Iterable[Photograph]) -> None:
    """Writes table and header, one photograph at a time; `photographs` are sorted `in_order`, names and scenes checked.

    Equal photographs give equal bytes with one version of SQLite, and an equal digest with any version. A ValueError
    names a photograph that is out of order or occurs twice.
    """
    counts = dict.fromkeys(SPLITS, 0)
    content = hashlib.sha256()

    def rows() -> Iterator[tuple[Any, ...]]:
        last = (0, "", "")
        for number, photograph in enumerate(photographs):
            if in_order(photograph) <= last:
                raise ValueError(f"photograph '{photograph.name}' is out of order")
            last = in_order(photograph)
            counts[photograph.split] += 1
            content.update(_content(photograph))
            yield number, *vars(photograph).values()

    with write_atomically(folder / TABLE) as partial:
        # No journal is needed: an unfinished table is never renamed into its place.
        with closing(sqlite3.connect(partial, isolation_level=None)) as table:
            table.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
            table.execute(f"CREATE TABLE photographs (number INTEGER PRIMARY KEY, {_COLUMNS})")
            table.executemany(f"INSERT INTO photographs VALUES (?{', ?' * len(fields(Photograph))})", rows())
            table.execute("CREATE INDEX by_scene_and_name ON photographs (scene, name)")
            table.execute("COMMIT")
        digest = sha256_file(partial)
    header = {"format": FORMAT, "digest": content.hexdigest(), "photographs": counts, "table_sha256": digest}
    write_json(folder / _NAME, header)


_COLUMNS = ", ".join(field.name for field in fields(Photograph))
_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False)


def _content(photograph: Photograph) -> bytes:
    """The part of a photograph that the digest covers."""
    p = photograph
    return (_ENCODER.encode([p.name, p.sha256, p.disparity_sha256, p.scene, p.split]) + "\n").encode()


def load_photograph(folder: Path, photograph: Photograph) -> LoadedPhotograph:
    """Reads a photograph and its disparity from the manifest's folder, and checks their bytes by the manifest."""
    path = fetch_file(folder / photograph.file, photograph.sha256)
    _verified(path, photograph.sha256)
    pixels = to_uint8(read_image(path).pixels)
    if pixels.shape[:2] != (photograph.height, photograph.width):
        found = f"{pixels.shape[1]} x {pixels.shape[0]}"
        stated = f"{photograph.width} x {photograph.height}"
        raise RestorekitError(f"the photograph {path} has {found} pixels, the manifest says {stated}: {_REMEDY}")
    if photograph.disparity is None or photograph.disparity_sha256 is None:
        return LoadedPhotograph(pixels, None)
    disparity = fetch_file(folder / photograph.disparity, photograph.disparity_sha256)
    data = _verified(disparity, photograph.disparity_sha256)
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
        if values.dtype != np.float32 or values.shape != pixels.shape[:2]:
            raise ValueError(f"{values.dtype} of the shape {values.shape}")
    except (ValueError, OSError, EOFError, MemoryError, AttributeError) as error:
        raise RestorekitError(f"{disparity} is no disparity of {path} ({error}): {_REMEDY}") from error
    return LoadedPhotograph(pixels, values)


def _verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RestorekitError(f"the photograph {path} cannot be read ({error.strerror}): {_REMEDY}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RestorekitError(f"the photograph {path} is not the one of the manifest: {_REMEDY}")
    return data
