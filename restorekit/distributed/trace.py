"""The trace of a training: the samples that each rank read at each step, in one file for each rank and each start.

An interrupted training continues from its last state and repeats the lost steps after that state. The trace has both
versions of these steps; the version of the newest start counts.
"""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from restorekit.errors import RestorekitError
from restorekit.storage import push_file
from restorekit.training.loop import Report
from restorekit.training.world import World

FOLDER = "trace"


@dataclass(frozen=True)
class TracedStep:
    """The samples that one rank read at one step; `counts` is False for a lost step."""

    start: int  # the step from which the training continued
    step: int  # updates made, including this step
    epoch: int
    rank: int
    ranks: int
    node: str
    keys: tuple[str, ...]
    counts: bool


class TraceWriter:
    """Writes the reports of one rank; replaces the file of an earlier attempt that began at the same step."""

    def __init__(self, state: Path, world: World, node: str) -> None:
        self._folder, self._rank = state / FOLDER, world.rank
        self._own = (world.rank, world.size, node)
        self._path: Path | None = None

    def note(self, report: Report) -> None:
        if self._path is None:
            start = report.step if report.resumed else 0
            self._path = self._folder / f"from-{start:08d}-rank-{self._rank:05d}.csv"
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path.write_text("")
        if report.batch is not None:
            keys = report.batch.keys if report.batch.weight else ()
            with self._path.open("a", newline="") as file:
                csv.writer(file).writerow([report.step, report.batch.cursor.epoch, *self._own, *keys])
        if report.saving:
            push_file(self._path)


def read_trace(state: Path) -> list[TracedStep]:
    """All steps of a training, lost steps included, ordered by start, step and rank."""
    steps = []
    for path in sorted((state / FOLDER).glob("from-*-rank-*.csv")):
        start = int(path.name.split("-")[1])
        with path.open(newline="") as file:
            for step, epoch, rank, ranks, node, *keys in csv.reader(file):
                steps.append(TracedStep(start, int(step), int(epoch), int(rank), int(ranks), node, tuple(keys), True))
    if not steps:
        raise RestorekitError(f"there is no trace in {state / FOLDER}: train with `trace: true`")
    newest: dict[int, int] = defaultdict(int)
    for one in steps:
        newest[one.step] = max(newest[one.step], one.start)
    marked = [TracedStep(**{**vars(one), "counts": one.start == newest[one.step]}) for one in steps]
    return sorted(marked, key=lambda one: (one.start, one.step, one.rank))


def samples_of_epochs(steps: list[TracedStep]) -> dict[int, Counter[str]]:
    """How often each sample was learnt from, by epoch, over the steps that count."""
    seen: dict[int, Counter[str]] = defaultdict(Counter)
    for one in steps:
        if one.counts:
            seen[one.epoch].update(one.keys)
    return dict(seen)
