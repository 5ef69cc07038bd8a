"""Do no harm: clean photographs of every test set go through the network, which should leave them as they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from restorekit.evaluation.pictures import spread
from restorekit.evaluation.results import CLEAN, CleanFigure, CleanScore, Facts
from restorekit.evaluation.scoring import Look, Precision, Restored, restoring
from restorekit.evaluation.slices import mean_interval
from restorekit.evaluation.studies import Findings
from restorekit.evaluation.test_sets import Pair
from restorekit.image import to_uint8
from restorekit.metrics.clean_metrics import CLEAN_METRICS, CLEAN_PSNR, measure_clean
from restorekit.rng import rng_for

MOST = 24  # photographs of a test set: enough for an interval, and few beside the pairs that are scored


@dataclass(frozen=True)
class CleanPicture:
    """A clean photograph before and after the network, both uint8 (H, W, 3), with its figures."""

    facts: Facts
    before: np.ndarray
    after: np.ndarray
    figures: dict[str, float | None]


def chosen_keys(facts: Sequence[Facts], most: int = MOST) -> frozenset[str]:
    """The keys of the first image of each photograph, of `most` photographs spread evenly over the set."""
    firsts: dict[str, str] = {}
    for one in facts:
        firsts.setdefault(one.photograph, one.key)
    return frozenset(firsts[name] for name in spread(list(firsts), most))


def clean_look(precision: Precision, keys: frozenset[str], model: nn.Module) -> Look:
    """Restores the clean images of the pairs `keys` whole, quantises them to 8 bits, and measures each.

    Gives a CleanPicture; None for other pairs, and for a network that takes a mask. Such a network fills the holes that
    the mask shows, and a clean photograph has none.
    """
    takes_mask = bool(model.descriptor.takes_mask)  # type: ignore[union-attr]
    restore = None if takes_mask else restoring(model, precision)

    def look(restored: Restored) -> CleanPicture | None:
        facts, clean = restored.pair.facts, restored.pair.clean
        if restore is None or facts.key not in keys:
            return None
        image = to_uint8(restore(Pair(facts, degraded=clean, clean=clean)))
        return CleanPicture(facts, clean, image, measure_clean(image, clean))

    return look


class CleanStudy:
    """The scores of clean images, and the worst of each set."""

    def __init__(self) -> None:
        self.rows: list[CleanScore] = []
        self._worst: dict[str, CleanPicture] = {}

    def take(self, dataset: str, seen: CleanPicture | None) -> None:
        """Adds the result of a look."""
        if seen is None:
            return
        self.rows.append(CleanScore(dataset, seen.facts.key, seen.facts.photograph, seen.figures))
        known = self._worst.get(dataset)
        if known is None or _harm(seen.figures, CLEAN_PSNR) > _harm(known.figures, CLEAN_PSNR):
            self._worst[dataset] = seen

    def worst(self) -> dict[str, CleanPicture]:
        """The photograph with the lowest PSNR against itself, for each test set."""
        return dict(self._worst)


def clean_figures(rows: Sequence[CleanScore], seed: int, resamples: int) -> list[CleanFigure]:
    """Every figure of every set in `rows`, with its interval; figures that no photograph defines are left out."""
    found = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        for name in CLEAN_METRICS:
            of_set = [row for row in rows if row.dataset == dataset and row.figures[name] is not None]
            if of_set:
                values = np.array([row.figures[name] for row in of_set], np.float64)
                worst = int(np.argmax([_harm(row.figures, name) for row in of_set]))
                rng = rng_for(seed, "interval", dataset, CLEAN)
                ci95 = mean_interval(values, [row.photograph for row in of_set], rng, resamples)
                mean, ends = float(values.mean()), (float(values[worst]), of_set[worst].photograph)
                found.append(CleanFigure(dataset, name, len(of_set), mean, ci95, *ends))
    return found


def clean_findings(figures: Sequence[CleanFigure]) -> Findings:
    """The figures as a part of an evaluation: `clean` in evaluation.json, by name in metrics.json, and lines."""
    metrics: dict[str, dict[str, object]] = {}
    for one in figures:
        low, high = one.ci95
        values = {"mean": one.mean, "ci95_low": low, "ci95_high": high, "worst": one.worst, "n": one.n}
        metrics.setdefault(one.dataset, {})[one.name] = values
    lines = []
    for dataset in metrics:
        of_set = [one for one in figures if one.dataset == dataset]
        each = ", ".join(f"{one.name} {one.mean:.4g} (worst {one.worst:.4g})" for one in of_set)
        lines.append(f"{dataset}, {max(one.n for one in of_set)} clean photographs: {each}")
    return Findings({"clean": [one.to_json() for one in figures]}, metrics, tuple(lines))


def _harm(figures: dict[str, float | None], name: str) -> float:
    """The distance of a figure from that of an untouched photograph; 0 where it is undefined."""
    value, untouched = figures[name], CLEAN_METRICS[name].untouched
    return 0.0 if value is None else abs(value - untouched)
