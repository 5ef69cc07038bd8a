"""Looks at all photos of a folder or a storage's address, and restores them into another; each worker has a network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from restorekit.detection.calibration import Calibration
from restorekit.detection.detector import Detector
from restorekit.errors import RestorekitError
from restorekit.image import read_image
from restorekit.inference import Restorer
from restorekit.inference.batch import on_every_node
from restorekit.models.memory import default_budget
from restorekit.restoring.choice import Chosen
from restorekit.restoring.finding import Finding
from restorekit.restoring.opening import Settings, open_restorers
from restorekit.restoring.photo_file import Wishes, restore_file
from restorekit.restoring.selection import Errand, find_photos, is_photo, result_name
from restorekit.storage import Remote

FAILURES = "failures.json"  # in the output: the photos that were not restored, with the reason


@dataclass(frozen=True)
class Place:
    """A folder that all workers see, by its absolute path, or an address such as s3://bucket/photos."""

    address: str

    @classmethod
    def named(cls, text: str) -> "Place":
        """The place that a user names; a path becomes absolute, because a worker has another current folder."""
        return cls(text.rstrip("/") if "://" in text else str(Path(text).expanduser().resolve()))

    @property
    def stored(self) -> bool:
        return "://" in self.address

    def files(self) -> list[str]:
        """The paths of all files below the place, relative to it; none where there is no such place."""
        if self.stored:
            return Remote(self.address).find()
        root = Path(self.address)
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def photos(self) -> list[str]:
        """The paths of the photos below the place, without hidden files and results of ours."""
        if self.stored:
            shown = [name for name in self.files() if not any(part.startswith(".") for part in name.split("/"))]
            found = [name for name in shown if is_photo(Path(name).name)]
        else:
            ones, problems = find_photos([self.address], recursive=True)
            if problems and not ones:
                raise RestorekitError(problems[0])
            found = [one.photo.relative_to(self.address).as_posix() for one in ones]
        if not found:
            raise RestorekitError(f"no photo in {self.address}")
        return found

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """A file on this machine with the bytes of the file `name`."""
        if not self.stored:
            yield Path(self.address, name)
            return
        with TemporaryDirectory() as scratch:
            file = Path(scratch, Path(name).name)
            (Remote(self.address) / name).get(file)
            yield file

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A file on this machine that becomes the file `name`, where the body raises nothing."""
        if not self.stored:
            yield Path(self.address, name)
            return
        with TemporaryDirectory() as scratch:
            file = Path(scratch, Path(name).name)
            yield file
            (Remote(self.address) / name).put(file)


@dataclass(frozen=True)
class Move:
    """What every worker is told: where photos come from and go to, and how they are restored."""

    source: Place
    output: Place
    record: Mapping[str, Any]
    settings: Settings
    wishes: Wishes


def waiting_photos(move: Move) -> list[str]:
    """The photos of the source without a result in the output, so that a killed run goes on where it was."""
    done = set(move.output.files())
    return [name for name in move.source.photos() if result_name(name) not in done]


def look_everywhere(move: Move, detector: Detector, names: list[str]) -> Iterator[Finding | str]:
    """What is wrong with each photo, or a sentence on why it cannot be read, from a connected Ray cluster, in order."""
    work = partial(look_at_part, move.source, detector.calibration, names)
    yield from on_every_node(detector.network, work, len(names))


def look_at_part(
    source: Place, calibration: Calibration, names: list[str], network: nn.Module, start: int, stop: int
) -> Iterator[Finding | str]:
    """Looks at `names[start:stop]` in this process; the findings have the photos' paths below the source."""
    detector = Detector(network, calibration)  # type: ignore[arg-type]
    for name in names[start:stop]:
        copy = ""
        try:
            with source.reading(name) as photo:
                copy = str(photo)
                detection = detector.detect(read_image(photo).pixels)
        except RestorekitError as error:
            yield str(error).replace(copy, f"{source.address}/{name}") if copy else str(error)
        else:
            yield Finding(Errand(Path(name), Path(result_name(name))), detection)


def restore_everywhere(move: Move, network: nn.Module, names: list[str]) -> Iterator[tuple[str, str]]:
    """Each photo's name with a sentence on what went wrong, or "", from a connected Ray cluster, in order."""
    yield from on_every_node(network, partial(restore_part, move, names), len(names))


def restore_part(move: Move, names: list[str], network: nn.Module, start: int, stop: int) -> Iterator[tuple[str, str]]:
    """Restores `names[start:stop]` in this process; a photo that fails costs only itself."""
    (restorer,) = open_restorers(Chosen("the model", network, dict(move.record)), move.settings)
    if restorer.device.type == "cpu" and restorer.memory_bytes is None:
        restorer.memory_bytes = max(1, default_budget(restorer.device) // _workers_here())
    for name in names[start:stop]:
        yield name, _restore_one(move, name, restorer)


def _restore_one(move: Move, name: str, restorer: Restorer) -> str:
    """What went wrong, with the places that the user knows instead of this machine's copies; "" if nothing did."""
    copies = {}
    try:
        with move.source.reading(name) as photo, move.output.writing(result_name(name)) as target:
            copies = {str(photo): f"{move.source.address}/{name}", str(target): f"{move.output.address}/{name}"}
            restore_file(Errand(photo, target), restorer, move.wishes, note=_silent)
    except RestorekitError as error:
        sentence = str(error)
        for copy, place in copies.items():
            sentence = sentence.replace(copy, place)
        return sentence
    return ""


def on_gpus(move: Move, gpus: bool) -> Move:
    """The same with the device that the workers have."""
    return replace(move, settings=replace(move.settings, device="cuda" if gpus else "cpu"))


def _workers_here() -> int:
    """Workers of one CPU each that this node can hold; they share its memory."""
    import ray

    if not ray.is_initialized():
        return 1
    here = ray.get_runtime_context().get_node_id()
    return max(1, *(int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["NodeID"] == here))


def _silent(text: str) -> None:
    """A note for a person who restores one photo; among thousands nobody reads it."""
