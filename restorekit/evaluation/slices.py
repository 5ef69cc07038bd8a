"""Means over all images, and over those of one kind, third of the severities or bucket of hole shares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from restorekit.degradations.holes import BUCKETS
from restorekit.evaluation.interval import mean_interval
from restorekit.evaluation.pairs import Facts
from restorekit.evaluation.score import ImageScore, paired_gains
from restorekit.metrics import get_metric
from restorekit.rng import rng_for

ALL = "all"


@dataclass(frozen=True)
class SliceScore:
    """The means of one protocol over one slice of one test set."""

    dataset: str
    slice: str
    n: int  # images
    photographs: int
    protocol: str
    better: str  # "higher" or "lower"
    degraded: float
    restored: float
    gain: float  # mean paired gain; positive is better, also where lower is better
    ci95: tuple[float, float]  # of the mean paired gain

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ci95": list(self.ci95)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SliceScore":
        low, high = value["ci95"]
        return cls(**{**value, "ci95": (low, high)})


def slice_scores(rows: Sequence[ImageScore], seed: int, resamples: int) -> list[SliceScore]:
    """The scores of every slice, for each test set in `rows` and each protocol, `all` first."""
    scores = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        of_set = [row for row in rows if row.dataset == dataset]
        for name, members in slices_of([row.facts for row in of_set]).items():
            chosen = [of_set[index] for index in members]
            scores += [_score(dataset, name, chosen, protocol, seed, resamples) for protocol in chosen[0].restored]
    return scores


def slices_of(facts: Sequence[Facts]) -> dict[str, list[int]]:
    """Names of slices and the positions in them; a slice that would be empty, or the same as `all`, is left out."""
    slices = {ALL: list(range(len(facts)))}
    for slicer in SLICERS.values():
        for name, members in slicer(facts).items():
            if 0 < len(members) < len(facts):
                slices[name] = members
    return slices


def _by_kind(facts: Sequence[Facts]) -> dict[str, list[int]]:
    kinds = sorted({one.kind for one in facts if one.kind is not None})
    return {f"kind:{kind}": [i for i, one in enumerate(facts) if one.kind == kind] for kind in kinds}


def _by_severity(facts: Sequence[Facts]) -> dict[str, list[int]]:
    """Thirds of the severities that occur, equal in number but for ties, which stay together."""
    known = [one.severity for one in facts if one.severity is not None]
    if not known:
        return {}
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    thirds: dict[str, list[int]] = {"severity:low": [], "severity:mid": [], "severity:high": []}
    for index, one in enumerate(facts):
        if one.severity is not None:
            third = "low" if one.severity <= low else "mid" if one.severity <= high else "high"
            thirds[f"severity:{third}"].append(index)
    return thirds


def _by_hole_share(facts: Sequence[Facts]) -> dict[str, list[int]]:
    """The six published buckets, (0.01, 0.1] to (0.5, 0.6], and what lies outside of them."""
    names = [*(f"holes:{low:g}-{high:g}" for low, high in BUCKETS), "holes:other"]
    slices: dict[str, list[int]] = {name: [] for name in names}
    for index, one in enumerate(facts):
        if one.hole_share is not None:
            inside = [f"holes:{low:g}-{high:g}" for low, high in BUCKETS if low < one.hole_share <= high]
            slices[inside[0] if inside else "holes:other"].append(index)
    return slices


SLICERS: Mapping[str, Callable[[Sequence[Facts]], dict[str, list[int]]]] = {
    "kind": _by_kind,
    "severity": _by_severity,
    "holes": _by_hole_share,
}


def _score(dataset: str, name: str, rows: Sequence[ImageScore], protocol: str, seed: int, resamples: int) -> SliceScore:
    gains = paired_gains(rows, protocol)
    return SliceScore(
        dataset=dataset, slice=name, n=len(rows), photographs=num_photographs(rows), protocol=protocol,
        better=get_metric(protocol).better, degraded=float(np.mean([row.degraded[protocol] for row in rows])),
        restored=float(np.mean([row.restored[protocol] for row in rows])), gain=float(gains.mean()),
        ci95=gain_interval(gains, rows, seed, resamples, name),
    )  # fmt: skip


def num_photographs(rows: Sequence[ImageScore]) -> int:
    return len({row.facts.photograph for row in rows})


def gain_interval(
    gains: np.ndarray, rows: Sequence[ImageScore], seed: int, resamples: int, name: str = ALL
) -> tuple[float, float]:
    """The interval of the mean of `gains`, one for each row of the slice `name`; the same draws for every protocol."""
    rng = rng_for(seed, "interval", rows[0].dataset, name)
    return mean_interval(gains, [row.facts.photograph for row in rows], rng, resamples)
