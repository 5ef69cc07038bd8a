"""A network beside its opponents, slice by slice: means over the same images, and the interval of the difference."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from restorekit.evaluation.opponents import PROTOCOLS, common
from restorekit.evaluation.score import ImageScore, paired_gains
from restorekit.evaluation.slices import gain_interval, slices_of


@dataclass(frozen=True)
class Versus:
    """One opponent on one slice of one test set."""

    opponent: str
    dataset: str
    slice: str
    n: int  # images that the opponent was asked for
    of: int  # images of the slice
    protocol: str
    ours: float
    theirs: float
    lead: float  # mean paired difference; positive is in our favour, also where lower is better
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ci95": list(self.ci95)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Versus":
        low, high = value["ci95"]
        return cls(**{**value, "ci95": (low, high)})


def versus(
    rows: Sequence[ImageScore], opponents: Mapping[str, Sequence[ImageScore]], seed: int, resamples: int
) -> list[Versus]:
    """The network's `rows` against those of each opponent, for each test set, slice and protocol that both have."""
    found = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        of_set = [row for row in rows if row.dataset == dataset]
        for name, members in slices_of([row.facts for row in of_set]).items():
            in_slice = [of_set[index] for index in members]
            for opponent, theirs in opponents.items():
                found += _against(opponent, name, in_slice, theirs, seed, resamples)
    return found


def _against(
    opponent: str, name: str, rows: Sequence[ImageScore], theirs: Sequence[ImageScore], seed: int, resamples: int
) -> list[Versus]:
    ours, others = common(rows, theirs), common(theirs, rows)
    if not ours:
        return []
    found = []
    for protocol in PROTOCOLS:
        leads = paired_gains(ours, protocol, others)
        found.append(
            Versus(
                opponent=opponent,
                dataset=ours[0].dataset,
                slice=name,
                n=len(ours),
                of=len(rows),
                protocol=protocol,
                ours=float(np.mean([row.restored[protocol] for row in ours])),
                theirs=float(np.mean([row.restored[protocol] for row in others])),
                lead=float(leads.mean()),
                ci95=gain_interval(leads, ours, seed, resamples, name),
            )
        )
    return found
