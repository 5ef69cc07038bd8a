"""The table that holds a network against those who filled the same holes, bucket by bucket."""

from collections.abc import Sequence
from dataclasses import dataclass

from restorekit.evaluation.results import ALL, OpponentScore
from restorekit.metrics.protocols import METRICS


@dataclass(frozen=True)
class Rival:
    """An opponent's cell: its mean, and where the interval of our lead lies: "up", "down" or "unsure"."""

    value: str
    better: str
    note: str  # the lead with its interval, and how many images, where not all


@dataclass(frozen=True)
class RivalRow:
    slice: str
    n: int
    ours: str
    rivals: list[Rival | None]  # in the order of the table's names; None: nothing was asked of it


@dataclass(frozen=True)
class RivalTable:
    dataset: str
    protocol: str
    names: list[str]
    says: dict[str, str]
    rows: list[RivalRow]


def rival_tables(found: Sequence[OpponentScore], says: dict[str, str], metric: str) -> list[RivalTable]:
    """A table for each test set with holes, of `metric` where the opponents have it and of PSNR where not."""
    protocol = metric if any(one.protocol == metric for one in found) else "psnr_rgb"
    of_protocol = [one for one in found if one.protocol == protocol]
    return [
        _table(dataset, protocol, [one for one in of_protocol if one.dataset == dataset], says)
        for dataset in dict.fromkeys(one.dataset for one in of_protocol)
    ]


def _table(dataset: str, protocol: str, found: Sequence[OpponentScore], says: dict[str, str]) -> RivalTable:
    names = list(dict.fromkeys(one.opponent for one in found))
    slices = [name for name in dict.fromkeys(one.slice for one in found) if name == ALL or name.startswith("holes:")]
    cells = {(one.slice, one.opponent): one for one in found}
    rows = []
    for name in slices:
        of_slice = [one for one in found if one.slice == name]
        whole = max(of_slice, key=lambda one: one.n)  # the opponent that was asked for the most images
        rivals = [_rival(cells.get((name, opponent)), protocol) for opponent in names]
        rows.append(RivalRow(name, whole.of, f"{whole.ours:.{METRICS[protocol].digits}f}", rivals))
    return RivalTable(dataset, protocol, names, {name: says[name] for name in names}, rows)


def _rival(one: OpponentScore | None, protocol: str) -> Rival | None:
    if one is None:
        return None
    digits, (low, high) = METRICS[protocol].digits, one.ci95
    better = "up" if low > 0 else "down" if high < 0 else "unsure"
    note = f"ours {one.lead:+.{digits}f}, 95% {low:+.{digits}f} to {high:+.{digits}f}"
    fewer = f", {one.n} of {one.of} images, ours {one.ours:.{digits}f}" if one.n < one.of else ""
    return Rival(f"{one.theirs:.{digits}f}", better, note + fewer)
