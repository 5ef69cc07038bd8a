"""What the page does with a photo, without the page: looks at it, restores it as the command does, tidies up."""

import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from restorekit.errors import RestorekitError
from restorekit.files import write_atomically
from restorekit.image import Photo, encode_grey, encode_rgb, read_image, to_uint8
from restorekit.inference import Restorer
from restorekit.restoring.choice import Chosen, choose_model, load_chosen
from restorekit.restoring.masks import MaskSource
from restorekit.restoring.opening import Settings, check_mask, open_restorers
from restorekit.restoring.photo_file import Wishes, fitted, restore_file
from restorekit.restoring.selection import SUFFIXES, Errand, is_photo, result_name
from restorekit.tasks import get_task

if TYPE_CHECKING:
    from restorekit.detection.detector import Detector

MAX_UPLOAD_MB = 300
MAX_PIXELS = 100_000_000  # the slider holds two pictures at full resolution
PAINTED_SIDE = 1280  # pixels of the longer side of the picture on which a mask is painted

CHOOSE = "Nothing here finds out by itself what is wrong with the photo: choose the task."
CLEAN = "Nothing was found that is wrong: {}. If you see something, choose the task."
FOUND = "Found: {}. Choose another task if that is wrong."

OnTile = Callable[[int, int], None]


@dataclass(frozen=True)
class Look:
    """What the page tells of a photo: sentences, uint8 (h, w, 3) to paint a mask on, and the task that was found."""

    text: str
    shown: np.ndarray
    task: str | None = None


@dataclass(frozen=True)
class Restored:
    """The files that the page shows and offers, and a sentence on each of the notes."""

    before: Path
    after: Path
    result: Path  # in the photo's own format, with its metadata
    notes: tuple[str, ...]


@dataclass
class Desk:
    """Restores photos of the page with one model, or with one a task; its files lie in `folder`."""

    folder: Path
    model: str | None = None  # None: by task
    settings: Settings = field(default_factory=Settings)
    detector: "Detector | None" = None
    _open: dict[str, tuple[Chosen, Restorer]] = field(default_factory=dict)

    def look(self, photo: Path) -> Look:
        """What a photo is, and what is wrong with it; a RestorekitError where it is too large."""
        found = _read(photo)
        kind = f"{found.format.upper()}, {found.width} x {found.height} pixels, {found.bits} bits per channel"
        parts = {
            "EXIF": found.exif, "XMP": found.extras.xmp, "a colour profile": found.icc, "transparency": found.alpha,
        }  # fmt: skip
        kept = [name for name, content in parts.items() if content is not None]
        sentences = [f"{kind}, with {', '.join(kept)}." if kept else f"{kind}.", *found.notes]
        task = None
        if self.model is None and self.detector is None:
            sentences.append(CHOOSE)
        elif self.model is None and self.detector is not None:
            detection = self.detector.detect(found.pixels)
            task = detection.found[0] if detection.found else None
            sentences.append((FOUND if task else CLEAN).format(detection.in_words()))
        return Look("\n\n".join(sentences), fitted(to_uint8(found.pixels), PAINTED_SIDE), task)

    def needs_mask(self, task: str) -> bool:
        """Whether the user has to paint: by the model's own word, or the task's where the model is not loaded yet."""
        if self.model is None:
            return get_task(task).takes_mask
        return self._opened(task)[1].descriptor.takes_mask

    def restore(
        self, photo: Path, task: str, strength: float, painted: np.ndarray | None = None, on_tile: OnTile | None = None
    ) -> Restored:
        """Restores a photo with the model of `task`; `painted` (h, w) is not 0 where something is missing.

        `painted` has any size and the photo's shape. The result has the same bytes as the command's.
        """
        chosen, restorer = self._opened(task)
        has_mask = painted is not None and bool(painted.any())
        if chosen.network.descriptor.takes_mask and not has_mask:  # type: ignore[union-attr]
            raise RestorekitError("paint over what is to be filled, then restore")
        before = _read(photo)
        self.clear()
        place = self.folder / uuid.uuid4().hex
        place.mkdir(parents=True)
        errand = Errand(photo, place / result_name(photo.name))
        masks = None
        if chosen.network.descriptor.takes_mask:  # type: ignore[union-attr]
            check_mask(chosen, has_mask)
            masks = MaskSource(_write_mask(place / "mask.png", painted, (before.height, before.width)))
        notes: list[str] = []
        restore_file(errand, restorer, Wishes(strength, masks=masks), notes.append, on_tile)
        after = read_image(errand.target)
        return Restored(
            _write_shown(place / "before.jpg", before), _write_shown(place / "after.jpg", after), errand.target,
            tuple(notes),
        )  # fmt: skip

    def clear(self) -> None:
        """Removes the files of the last restoration; the page has its own copies of what it still shows."""
        if self.folder.is_dir():
            for place in self.folder.iterdir():
                shutil.rmtree(place)

    def _opened(self, task: str) -> tuple[Chosen, Restorer]:
        key = self.model or task
        if key not in self._open:
            chosen = choose_model(task) if self.model is None else load_chosen(self.model, None)
            self._open = {key: (chosen, open_restorers(chosen, self.settings)[0])}  # one at a time, for the memory
        return self._open[key]


def _read(photo: Path) -> Photo:
    """The photo, where its header promises no more than the page shows."""
    if not is_photo(photo.name):
        raise RestorekitError(f"{photo.name} is no photo by its name, which must end with one of {', '.join(SUFFIXES)}")
    try:
        with Image.open(photo) as picture:
            pixels = picture.width * picture.height
    except Exception:  # whatever it is, the reader below says it better
        pixels = 0
    if pixels > MAX_PIXELS:
        raise RestorekitError(
            f"{photo.name} has {pixels / 1e6:.0f} million pixels; the page takes {MAX_PIXELS // 10**6}, and "
            f"`restorekit restore` more"
        )
    return read_image(photo)


def _write_mask(file: Path, painted: np.ndarray | None, size: tuple[int, int]) -> Path:
    assert painted is not None
    mask = np.where(painted != 0, 255, 0).astype(np.uint8)
    file.write_bytes(encode_grey(np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)))
    return file


def _write_shown(file: Path, photo: Photo) -> Path:
    with write_atomically(file) as partial:
        partial.write_bytes(encode_rgb(to_uint8(photo.pixels), "jpeg"))
    return file


def own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that only this user can read, and that goes with the page."""
    return tempfile.TemporaryDirectory(prefix="restorekit-ui-")
