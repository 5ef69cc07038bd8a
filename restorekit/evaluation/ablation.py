"""Comparison of runs that differ in one thing: each with the first of its model and data set, seed by seed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from restorekit.config import Run
from restorekit.errors import RestorekitError
from restorekit.evaluation.results import (
    MASK_FIGURES,
    SYNTHETIC_TEST,
    AblationRow,
    ImageScore,
    MaskScore,
    Mean,
    paired_gains,
)
from restorekit.evaluation.slices import mean_interval
from restorekit.rng import rng_for

PROTOCOLS = ("psnr_rgb", "ssim_rgb")


@dataclass(frozen=True)
class Evaluated:
    """One run of the `ablations` of params.yaml and its rows on the synthetic test images."""

    run: str
    spec: Run
    steps: int
    scores: list[ImageScore]
    masks: list[MaskScore]  # empty for a network that predicts no mask


def label_of(run: str) -> str:
    """The label in an ablation's name: `a5` in `dakd-rain--a5-1`, whose seed is 1."""
    return re.sub(r"-\d+$", "", run.partition("--")[2])


def ablation_rows(runs: Sequence[Evaluated], seed: int, resamples: int) -> list[AblationRow]:
    """A row for each label of each model and data set, in the order of the runs, compared with the first label's.

    Raises RestorekitError where runs of one label differ in more than the seed, or a seed of the first is missing.
    """
    groups: dict[tuple[str, str], dict[str, list[Evaluated]]] = {}
    for one in runs:
        groups.setdefault((one.spec.model, one.spec.first_set), {}).setdefault(label_of(one.run), []).append(one)
    rows = []
    for labels in groups.values():
        first = next(iter(labels.values()))
        rows += [_row(label, of_label, first, seed, resamples) for label, of_label in labels.items()]
    return rows


def _row(label: str, runs: list[Evaluated], first: list[Evaluated], seed: int, resamples: int) -> AblationRow:
    specs = [_settings(one.spec) for one in runs]
    seeds = [one.spec.seed for one in runs]
    if any(spec != specs[0] for spec in specs) or len(set(seeds)) < len(seeds):
        names = ", ".join(one.run for one in runs)
        raise RestorekitError(f"{names}: runs of one label differ in their seed, and in nothing else")
    base = {one.spec.seed: one for one in first}
    missing = sorted(set(seeds) - set(base))
    if missing:
        raise RestorekitError(f"{runs[0].run}: '{first[0].run}', its reference, has no run of seed {missing[0]}")

    def mean(values: np.ndarray, groups: list[str]) -> Mean:
        rng = rng_for(seed, "ablation", runs[0].spec.model, runs[0].spec.first_set)
        return Mean(float(values.mean()), mean_interval(values, groups, rng, resamples))

    def over_seeds(protocol: str, others: Mapping[int, Evaluated] | None) -> Mean:
        gains = [paired_gains(one.scores, protocol, others[one.spec.seed].scores if others else None) for one in runs]
        groups = [f"{one.spec.seed}/{score.facts.photograph}" for one in runs for score in one.scores]
        return mean(np.concatenate(gains), groups)

    masks = {}
    for name, figure in MASK_FIGURES.items():
        of_all = [(figure(row), f"{one.spec.seed}/{row.photograph}") for one in runs for row in one.masks]
        found = [(value, group) for value, group in of_all if value is not None]
        if found:
            masks[name] = mean(np.array([value for value, _ in found]), [group for _, group in found])
    settings = _settings(first[0].spec)
    return AblationRow(
        model=runs[0].spec.model, dataset=runs[0].spec.first_set, label=label,
        settings={name: value for name, value in specs[0].items() if settings.get(name) != value},
        seeds=tuple(seeds), steps=runs[0].steps, images=len(runs[0].scores),
        photographs=len({score.facts.photograph for score in runs[0].scores}),
        gain={protocol: over_seeds(protocol, None) for protocol in PROTOCOLS},
        by_seed=tuple(float(paired_gains(one.scores, "psnr_rgb").mean()) for one in runs),
        difference=None if runs[0].run == first[0].run else {name: over_seeds(name, base) for name in PROTOCOLS},
        mask=masks,
    )  # fmt: skip


def _settings(spec: Run) -> dict[str, Any]:
    """Options, objective and training by dotted name."""
    values = spec.model_dump(mode="json", include={"options", "objective", "train"})
    return {f"{section}.{name}": value for section, of in values.items() for name, value in of.items()}


def on_synthetic_test(run: str, rows: Sequence[Any]) -> list[Any]:
    """The rows of the synthetic test images, at least one."""
    found = [row for row in rows if row.dataset == SYNTHETIC_TEST]
    if not found:
        raise RestorekitError(f"'{run}' was not scored on synthetic test images: run `make ablate`")
    return found
