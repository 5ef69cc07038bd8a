"""The figures of a training: the curves file, and an outbox that sends figures without delaying the training.

The curves file has the columns step, name, value, and each step once, however often the training was interrupted. The
outbox sends figures in a thread, while the logger answers. Figures that a silent logger missed stay in the curves file
and are sent when the logger answers again: in the same training, after a restart, or by the driver at the end. Pictures
are not kept.
"""

import csv
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from threading import Condition, Thread
from typing import Protocol

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import read_json, write_atomically, write_json
from restorekit.storage import fetch_file, push_file

CURVES = "curves.csv"  # in the state's folder
HEADER = ("step", "name", "value")
NOTE = "logged.json"  # in the state's folder: the step up to which the logger has all figures
AGAIN_S = 30.0  # between two attempts


class CurveWriter:
    """Appends to a curves file; drops rows beyond `resume_step`, because those steps are trained again."""

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path = path
        kept = [row for row in read_curves(path) if row[0] <= resume_step] if path.exists() else []
        with write_atomically(path) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(kept)

    def append(self, step: int, metrics: dict[str, float]) -> None:
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerows((step, name, repr(value)) for name, value in metrics.items())


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """All rows of a curves file, without a last line that a kill cut short."""
    with path.open(newline="") as file:
        return _rows(file)


class CurveTail:
    """Follows a curves file that another process appends to; each look reads what is new, and no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file, self._read = 0, 0  # the inode, and the bytes of it that were read

    def new_rows(self) -> list[tuple[int, str, float]]:
        """The rows since the last look; all of a file that was replaced, none of a missing one."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._file or found.st_size < self._read:
                self._file, self._read = found.st_ino, 0
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]  # another process may be writing the last line
            self._read += len(whole) + 1 if whole else 0
        return _rows(whole.decode().splitlines())


def _rows(lines: Iterable[str]) -> list[tuple[int, str, float]]:
    """The rows in lines of a curves file, without its header and lines that were cut short."""
    rows = []
    for row in csv.reader(lines):
        try:
            step, name, value = row
            rows.append((int(step), name, float(value)))
        except ValueError:
            continue
    return rows


@dataclass(frozen=True)
class Best:
    """The highest gain of a training on some validation images: "synthetic images", or "real pairs (<sets>)"."""

    images: str
    step: int
    gain: float  # dB; of several sets the mean

    def __str__(self) -> str:
        return f"{self.images} {self.gain:+.2f} dB at step {self.step}"


def best_steps(curves: Iterable[tuple[int, str, float]]) -> list[Best]:
    """The highest gains in the rows of a curves file: of the synthetic images, then of the real sets if there are any.

    The first step with the highest value counts, as for the state that is kept.
    """
    synthetic: dict[int, float] = {}
    real: dict[int, dict[str, float]] = {}  # gains by step and set
    for step, name, value in curves:
        if name == "val/gain":
            synthetic[step] = value
        elif name.startswith("val/") and name.endswith("/gain"):
            real.setdefault(step, {})[name.removeprefix("val/").removesuffix("/gain")] = value
    sets = ", ".join(dict.fromkeys(name for gains in real.values() for name in gains))
    means = {step: fmean(gains.values()) for step, gains in real.items()}
    found = []
    for images, gains in (("synthetic images", synthetic), (f"real pairs ({sets})", means)):
        if gains:
            step = max(gains, key=lambda step: (gains[step], -step))
            found.append(Best(images, step, gains[step]))
    return found


def write_plots(curves: Path, folder: Path) -> None:
    """Writes loss.csv and validation.csv for `dvc plots` from a curves file, a row for each step."""
    steps: dict[str, dict[int, dict[str, float]]] = {"loss": {}, "validation": {}}
    for step, name, value in read_curves(curves) if curves.exists() else []:
        file, column = ("validation", name.removeprefix("val/")) if name.startswith("val/") else ("loss", name)
        if file == "validation" or name == "loss":
            steps[file].setdefault(step, {})[column] = value
    for file, rows in steps.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        with (folder / f"{file}.csv").open("w", newline="") as opened:
            writer = csv.DictWriter(opened, ["step", *columns])
            writer.writeheader()
            writer.writerows({"step": step, **row} for step, row in rows.items())


class Logger(Protocol):
    """The receiver of the first rank's figures and pictures; see restorekit.tracking."""

    def log_metrics(self, values: Mapping[str, float], step: int) -> None: ...

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None: ...


class Outbox:
    """Unsent figures for one logger, sent by a thread, so that no step waits for a logger that is slow or gone.

    Calls `note_event` when the logger falls silent and when it answers again. An error of the logger that is neither a
    RestorekitError nor an OSError is raised in the training, at its next figures.
    """

    def __init__(
        self,
        folder: Path,
        open_logger: Callable[[], Logger],
        note_event: Callable[[str], None],
        again_s: float = AGAIN_S,
    ) -> None:
        """`folder` holds the training's curves.csv, cut at the step from which the training continues."""
        self._folder, self._open_logger, self._note_event, self._again_s = folder, open_logger, note_event, again_s
        self._logger: Logger | None = None
        self._changed = Condition()  # holds all that follows
        self._waiting = _unsent(folder)
        self._picture: tuple[str, np.ndarray, int] | None = None  # the newest that was not sent
        self._next_try = 0.0
        self._silent = False
        self._sending = False
        self._unforeseen: Exception | None = None

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        with self._changed:
            self._waiting.append((step, dict(values)))
            self._start()

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        with self._changed:
            if not self._silent:
                self._picture = name, image, step
                self._start()

    def flush(self, now: bool = False) -> bool:
        """Waits for the attempt that runs, or may run now; returns whether no figure is left.

        With `now` there is an attempt even if the last one has just failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._sending)
            if now:
                self._next_try = 0.0
            self._start()
            self._changed.wait_for(lambda: not self._sending)
            if self._unforeseen is not None:
                raise self._unforeseen
            return not self._waiting

    def save(self, step: int) -> None:
        """Records the step up to which the logger has all figures, for a training with a state at `step`."""
        with self._changed:
            known = min((waiting - 1 for waiting, _ in self._waiting), default=step)
        write_json(self._folder / NOTE, {"step": known})
        push_file(self._folder / NOTE)

    def _start(self) -> None:
        """Begins to send, unless that goes on already, nothing waits, or the last attempt has just failed."""
        if self._unforeseen is not None:
            raise self._unforeseen
        if self._sending or not (self._waiting or self._picture) or time.monotonic() < self._next_try:
            return
        self._sending = True
        Thread(target=self._send, name="figures", daemon=True).start()  # a daemon: no exit waits for a server

    def _send(self) -> None:
        """Sends what waits, in order and a picture last, until nothing is left or an attempt fails."""
        try:
            self._logger = self._logger or self._open_logger()
            while self._send_next(self._logger):
                pass
        except (RestorekitError, OSError) as error:
            self._end(error)
        except Exception as error:  # nobody foresaw it: the training is told at its next figures
            with self._changed:
                self._unforeseen = error
                self._sending = False
                self._changed.notify_all()

    def _send_next(self, logger: Logger) -> bool:
        with self._changed:
            if not self._waiting and self._picture is None:
                self._end(None)
                return False
            first = self._waiting[0] if self._waiting else None
            picture = None
            if first is None:
                picture, self._picture = self._picture, None
        if first is not None:
            logger.log_metrics(first[1], first[0])
            with self._changed:
                del self._waiting[0]
        elif picture is not None:
            logger.log_picture(*picture)
        return True

    def _end(self, error: Exception | None) -> None:
        with self._changed:
            if error is not None:
                self._next_try = time.monotonic() + self._again_s
                self._picture = None
            if self._silent != (error is not None):
                self._silent = error is not None
                self._note_event(_in_words(error))
            self._sending = False
            self._changed.notify_all()


def _in_words(error: Exception | None) -> str:
    if error is None:
        return "the tracking server answers again and has all figures"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"warning: figures are kept in curves.csv and sent later, the training goes on ({reason})"


def send_unsent(folder: Path, logger: Logger) -> None:
    """Sends `logger` the figures that it missed of a finished training."""
    fetch_file(folder / CURVES)
    waiting = _unsent(folder)
    for step, values in waiting:
        logger.log_metrics(values, step)
    if waiting:
        write_json(folder / NOTE, {"step": waiting[-1][0]})
        push_file(folder / NOTE)


def _unsent(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The steps of the curves that the logger lacks, with their figures."""
    curves, note = folder / CURVES, fetch_file(folder / NOTE)
    if not (note.exists() and curves.exists()):
        return []
    known = int(read_json(note, "note of the logged step", f"remove {note}")["step"])
    rows = (row for row in read_curves(curves) if row[0] > known)
    return [(step, {name: value for _, name, value in of_step}) for step, of_step in groupby(rows, lambda row: row[0])]
