"""Shows a batch: a line for each photo, and on a terminal one bar over the photos and one over the tiles of each."""

import sys
from types import TracebackType

from tqdm import tqdm

from restorekit.entry import printable
from restorekit.restoring.selection import Errand

WIDEST_NAME = 24  # characters of a photo's name before its bar


class BatchDisplay:
    """A batch's lines, on stdout, its notes, on stderr, and bars where stderr is a terminal."""

    def __init__(self, photos: int, jobs: int) -> None:
        self.done = 0
        hidden = not sys.stderr.isatty()
        self._photos = tqdm(total=photos, unit="photo", disable=hidden or photos < 2, file=sys.stderr)
        self._tiles = [
            tqdm(unit="tile", disable=hidden, file=sys.stderr, position=job + (photos > 1), leave=False, delay=0.5)
            for job in range(jobs)
        ]

    def __enter__(self) -> "BatchDisplay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in (*self._tiles, self._photos):
            bar.close()

    def note(self, text: str) -> None:
        tqdm.write(_line(f"note: {text}"), file=sys.stderr)

    def say(self, text: str) -> None:
        tqdm.write(_line(text), file=sys.stdout)

    def left(self, text: str) -> None:
        """A photo that is done without being restored."""
        self.say(text)
        self._photos.update()

    def tile(self, job: int, errand: Errand, done: int, total: int) -> None:
        bar = self._tiles[job]
        if bar.disable or total < 2:
            return
        bar.total, bar.n = total, done
        bar.set_description(_line(errand.photo.name)[:WIDEST_NAME], refresh=False)
        bar.refresh()

    def restored(self, job: int, errand: Errand, text: str) -> None:
        self.done += 1
        self.say(text)
        self._next(job)

    def failed(self, job: int, errand: Errand, text: str) -> None:
        """The failure is not shown twice: the error at the end lists all; a bar moves on."""
        self._next(job)

    def _next(self, job: int) -> None:
        self._photos.update()
        if not self._tiles[job].disable:
            self._tiles[job].reset()


def _line(text: str) -> str:
    return printable(text).replace("\n", "\\n")
