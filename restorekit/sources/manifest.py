"""The manifest of data/photos/: which photographs there are, whose they are, and to which split each belongs."""

import hashlib
import io
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from restorekit.errors import RestorekitError, unknown_name
from restorekit.files import digest_of, read_json, write_json
from restorekit.image import read_image, to_uint8
from restorekit.storage import fetch_file

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

_NAME = "manifest.json"
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
        return digest_of(
            [[p.name, p.sha256, p.disparity_sha256, p.scene, p.split] for p in sorted(self.photographs, key=_by_name)]
        )

    def split(self, name: str) -> tuple[Photograph, ...]:
        """The photographs of "train", "val" or "test"."""
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
        return tuple(photograph for photograph in self.photographs if photograph.split == name)

    def save(self, folder: Path) -> None:
        """Writes manifest.json into `folder`."""
        photographs = [asdict(photograph) for photograph in sorted(self.photographs, key=_by_name)]
        write_json(folder / _NAME, {"format": 1, "digest": self.digest, "photographs": photographs})

    @staticmethod
    def load(folder: Path) -> "PhotoManifest":
        """Reads manifest.json from `folder`; a RestorekitError where it is missing, damaged or changed by hand."""
        path = fetch_file(folder / _NAME)
        value = read_json(path, "manifest of photographs", _REMEDY)
        known = {field.name for field in fields(Photograph)}
        try:
            entries = value["photographs"]
            if value["format"] != 1 or any(set(entry) != known for entry in entries):
                raise KeyError("format")
            manifest = PhotoManifest(tuple(Photograph(**entry) for entry in entries))
        except (KeyError, TypeError) as error:
            raise RestorekitError(f"{path} is no manifest of photographs of this version: {_REMEDY}") from error
        if manifest.digest != value.get("digest"):
            raise RestorekitError(f"{path} does not agree with its own digest, so it was changed: {_REMEDY}")
        return manifest


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


def _by_name(photograph: Photograph) -> str:
    return photograph.name
