"""What the report shows of a network of several paths: each path's image, and what the borders of patches cost."""

from dataclasses import dataclass
from typing import Any

from restorekit.report.inputs import RunResult
from restorekit.report.wording import signed

# Name of a path -> what it says.
SAYS = {
    "path1": "path 1, the finest patches, at full size",
    "path2": "path 2, at half the size",
    "path3": "path 3, at a quarter of the size",
    "global": "the global path, at a quarter of the size",
}


@dataclass(frozen=True)
class PathLine:
    """A row of the table, as texts."""

    says: str
    before: str
    after: str
    gain: str


@dataclass(frozen=True)
class PathTable:
    """The paths on one test set; `border` is empty where no frame has more than one patch."""

    dataset: str
    frames: int
    lines: list[PathLine]
    border: str  # what borders cost, in dB


def path_tables(result: RunResult) -> list[PathTable]:
    """One for each test set; none for a network without patches."""
    return [_table(one) for one in result.patches]


def _table(means: dict[str, Any]) -> PathTable:
    lines = []
    for name in (known for known in SAYS if known in means["paths"]):
        one = means["paths"][name]
        gain = signed(one["restored"] - one["degraded"], 2)
        lines.append(PathLine(SAYS[name], f"{one['degraded']:.2f}", f"{one['restored']:.2f}", gain))
    cost = means["seams"].get("border_cost")
    return PathTable(means["dataset"], means["frames"], lines, "" if cost is None else signed(cost, 2))
