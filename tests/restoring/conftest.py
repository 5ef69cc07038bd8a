"""Networks whose result is known in advance, and photos."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from restorekit.inference import Restorer
from restorekit.models.descriptor import Descriptor
from restorekit.restoring.selection import Errand
from restorekit.rng import rng_for


class Brighter(nn.Module):
    """Adds `amount` to every value, clamped; remembers the sizes (height, width) that it was given."""

    def __init__(self, takes_mask: bool = False, amount: float = 0.25) -> None:
        super().__init__()
        self.amount, self.layer = amount, nn.Identity()
        self.seen: list[tuple[int, int]] = []
        self.descriptor = Descriptor("brighter", ("rain",), takes_mask, 1, 4, "exact", 0, 16)

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        self.seen.append((image.shape[-2], image.shape[-1]))
        return torch.clamp(self.layer(image) + self.amount, 0, 1)


@pytest.fixture
def brighter() -> Restorer:
    return Restorer(Brighter())


@pytest.fixture
def filler() -> Restorer:
    """A restorer that takes masks, and whose network changes every pixel."""
    return Restorer(Brighter(takes_mask=True))


def photo(path: Path, height: int = 24, width: int = 32) -> Path:
    """Writes a photo of noise, dark enough for `Brighter` to brighten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng_for(0, path.name).integers(0, 128, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def interrupting() -> Callable[[], None]:
    """A function that jobs call to press Ctrl-C, once for all; it returns when the main thread has noticed."""
    noticed, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def handle(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        noticed.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)

    waiting = [signal.SIGINT]

    def press() -> None:
        with suppress(IndexError):  # by another job
            signal.raise_signal(waiting.pop())
        noticed.wait()

    return press


class Log:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.lines: list[str] = []
        self.tiles: list[tuple[int, int]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def tile(self, job: int, errand: Errand, done: int, total: int) -> None:
        self.tiles.append((done, total))

    def restored(self, job: int, errand: Errand, text: str) -> None:
        self.lines.append(text)

    def failed(self, job: int, errand: Errand, text: str) -> None:
        pass
