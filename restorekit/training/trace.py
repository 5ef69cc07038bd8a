"""Which samples each rank read at each step: a file for each rank and each start, so that what was lost is seen too.

A training that was interrupted goes on from its last state: the steps after that state were made in vain and are made
again. A step counts as the newest start made it.
"""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from restorekit.errors import RestorekitError

FOLDER = "trace"


@dataclass(frozen=True)
class TracedStep:
    """What one rank read at one step; `counts` is False where the step was made in vain."""

    start: int  # the step that the training went on from
    step: int  # updates made, this one counted
    epoch: int
    rank: int
    ranks: int
    node: str
    keys: tuple[str, ...]
    counts: bool


class TraceWriter:
    """Writes one rank's steps since the step `start`; what an earlier try from the same step wrote is replaced."""

    def __init__(self, state: Path, start: int, rank: int, ranks: int, node: str) -> None:
        self.path = state / FOLDER / f"from-{start:08d}-rank-{rank:05d}.csv"
        self._own = (rank, ranks, node)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def note(self, step: int, epoch: int, keys: tuple[str, ...]) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([step, epoch, *self._own, *keys])


def read_trace(state: Path) -> list[TracedStep]:
    """All steps of a training, those made in vain too, ordered by start, step and rank."""
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
