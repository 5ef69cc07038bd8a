"""Writes data/evaluations/<run>/: a network's results on its test sets, as tables, figures and pictures.

evaluation.json   all results, for the report, the gate and the ablations
metrics.json      the whole test sets by protocol, for `dvc metrics`
slices.csv        the slices by protocol, for `dvc plots`
table.csv         a row for each image
samples/          triptychs, maps over photographs, and the clean photograph of each set that came out worst
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from restorekit.config import Params
from restorekit.config.runs import EvaluateConfig
from restorekit.evaluation.clean import CleanStudy, chosen_keys, clean_figures, clean_findings, clean_look
from restorekit.evaluation.pictures import GUTTER, choose, triptych
from restorekit.evaluation.results import ALL, CLEAN, EVALUATION_FORMAT, CleanFigure, Facts, ImageScore, SliceScore
from restorekit.evaluation.scoring import LookWith, Restore, Restored, restoring, scoring
from restorekit.evaluation.slices import slice_scores
from restorekit.evaluation.studies import Findings, Study, studies_of
from restorekit.evaluation.table import write_table
from restorekit.evaluation.test_sets import Pair, PairSet, PictureSet
from restorekit.files import write_atomically, write_json
from restorekit.image import encode_rgb, to_uint8
from restorekit.inference.self_ensemble import AS_IT_IS, trained_views

HEADLINE = ("psnr_rgb", "ssim_rgb")  # protocols that are printed
_PLOTTED = ("degraded", "restored", "gain")

Shown = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # degraded, restored, clean


@dataclass(frozen=True)
class Subject:
    """The network under evaluation: a registered version, and the record of its model."""

    run: str
    name: str
    version: int
    model: nn.Module
    record: dict[str, Any]


def write_evaluation(
    folder: Path,
    subject: Subject,
    tests: Sequence[PairSet],
    unpaired: Sequence[PictureSet],
    params: Params,
    spread: bool = False,
) -> tuple[list[SliceScore], list[CleanFigure], list[str]]:
    """Writes the evaluation of a network into `folder`; returns the scores, those of clean images, and lines to print.

    `unpaired` sets give pictures only. With `spread` the nodes of the connected Ray cluster share the scoring.
    """
    model, record, config = subject.model, subject.record, params.evaluate
    (folder / "samples").mkdir(parents=True)
    views = trained_views(record) if config.self_ensemble else AS_IT_IS
    scored, restore = scoring(model, config.precision, spread), restoring(model, config.precision)
    studies, harm = studies_of(model, config.precision, folder / "samples", views), CleanStudy()
    rows: list[ImageScore] = []
    samples: list[dict[str, Any]] = []
    for pairs in tests:
        of_set, shown = _score_set(folder, pairs, scored, config, studies, harm)
        rows += of_set
        samples += shown
    for pictures in unpaired:
        samples += _write_pictures(folder, pictures, restore, config.samples)
    samples += _write_worst(folder, harm) if config.samples else []
    scores = slice_scores(rows, params.seed, config.resamples)
    found = [study.findings(rows, params.seed, config.resamples) for study in studies]
    cleans = clean_figures(harm.rows, params.seed, config.resamples)
    found.append(clean_findings(cleans))
    write_table(folder / "table.csv", rows, [mask for findings in found for mask in findings.masks], harm.rows)
    write_slices(folder / "slices.csv", scores)
    write_json(folder / "metrics.json", _metrics(scores, found))
    write_json(
        folder / "evaluation.json",
        {
            "format": EVALUATION_FORMAT, "run": subject.run, "model": record["model"], "task": record["task"],
            "trained_on": record["dataset"], "digest": record["digest"], "steps": record["steps"],
            "name": subject.name, "version": subject.version, "precision": config.precision,
            "tests": [{"dataset": pairs.name, "digest": pairs.digest} for pairs in tests],
            "unpaired": [{"dataset": pictures.name, "digest": pictures.digest} for pictures in unpaired],
            "scores": [score.to_json() for score in scores],
            "samples": sorted(samples, key=lambda sample: sample["file"]),
            **{key: value for findings in found for key, value in findings.evaluation.items()},
        },
    )  # fmt: skip
    lines = [*_headlines(scores), *(line for findings in found for line in findings.lines)]
    if config.self_ensemble and len(views) == 1:
        lines.append("trained without flips: there is no mean of views to score")
    return scores, cleans, lines


def write_slices(path: Path, scores: Sequence[SliceScore]) -> None:
    """Writes slices.csv for `dvc plots`: a line for each test set and slice, named `<test set> <slice>`.

    Column names have no dots, because Vega would split them there.
    """
    protocols = list(dict.fromkeys(score.protocol for score in scores))
    lines: dict[tuple[str, str], dict[str, SliceScore]] = {}
    for score in scores:
        lines.setdefault((score.dataset, score.slice), {})[score.protocol] = score
    with write_atomically(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"{protocol}_{side}" for protocol in protocols for side in _PLOTTED]
        writer.writerow(["dataset", "slice", "n", "photographs", *columns])
        for (dataset, name), line in lines.items():
            first = line[protocols[0]]
            values = [getattr(line[protocol], side) for protocol in protocols for side in _PLOTTED]
            writer.writerow([dataset, f"{dataset} {name}", first.n, first.photographs, *values])


def _headlines(scores: Sequence[SliceScore]) -> list[str]:
    return [
        f"{score.dataset}: {score.protocol} {score.degraded:.4g} -> {score.restored:.4g}, gain {score.gain:+.4g} "
        f"(95% {score.ci95[0]:+.4g} to {score.ci95[1]:+.4g}), {score.n} images of {score.photographs} photographs"
        for score in scores
        if score.slice == ALL and score.protocol in HEADLINE
    ]


def _score_set(
    folder: Path,
    pairs: PairSet,
    scored: Callable[[PairSet, Sequence[LookWith]], Iterator[Restored]],
    config: EvaluateConfig,
    studies: Sequence[Study],
    harm: CleanStudy,
) -> tuple[list[ImageScore], list[dict[str, Any]]]:
    """Scores a set and writes its pictures; returns the set's rows and the pictures' entries."""
    facts = pairs.facts()
    numbers = {key: number for number, key in enumerate(choose(facts, config.samples))}
    looks: list[LookWith] = [study.look(numbers) for study in studies]
    looks.append(partial(clean_look, config.precision, chosen_keys(facts)))
    rows, samples = [], []
    for restored in scored(pairs, looks):
        row, pair = restored.score, restored.pair
        rows.append(row)
        number = numbers.get(pair.facts.key)
        *seen, clean = restored.seen
        for study, one in zip(studies, seen, strict=True):
            study.take(pairs.name, restored, one, number)
        harm.take(pairs.name, clean)
        if number is not None:
            shown = (pair.degraded, restored.image, pair.clean)
            place = f"{pairs.name}-{number + 1:02d}"
            samples.append(_write_sample(folder, place, pairs.name, pair.facts, shown, (row.degraded, row.restored)))
    return rows, samples


def _write_pictures(folder: Path, pictures: PictureSet, restore: Restore, count: int) -> list[dict[str, Any]]:
    """Writes up to `count` pictures, before and after, of photographs that have no clean image."""
    chosen, samples = choose(pictures.facts, count), []
    for facts, degraded in pictures.open(chosen):
        image = to_uint8(restore(Pair(facts, degraded, clean=degraded)))  # a stand-in: no score is taken
        place = f"{pictures.name}-{chosen.index(facts.key) + 1:02d}"
        samples.append(_write_sample(folder, place, pictures.name, facts, (degraded, image, None), ({}, {})))
    return samples


def _write_worst(folder: Path, harm: CleanStudy) -> list[dict[str, Any]]:
    """Writes the clean photograph of each test set that came out worst, before and after; none without a study."""
    samples = []
    for dataset, worst in harm.worst().items():
        facts = Facts(f"{worst.facts.key}-{CLEAN}", worst.facts.photograph, kind=CLEAN)
        shown = (worst.before, worst.after, None)
        figures = {name: value for name, value in worst.figures.items() if value is not None}
        samples.append(_write_sample(folder, f"{dataset}-{CLEAN}", dataset, facts, shown, ({}, figures)))
    return samples


def _write_sample(
    folder: Path,
    place: str,
    dataset: str,
    facts: Facts,
    shown: Shown,
    scores: tuple[dict[str, float], dict[str, float]],
) -> dict[str, Any]:
    """Writes a triptych; returns its entry in evaluation.json."""
    drawn = triptych(*shown)
    file = f"samples/{place}.png"
    (folder / file).write_bytes(encode_rgb(drawn.image, "png"))
    return {
        "file": file, "dataset": dataset, **asdict(facts), "width": drawn.width, "height": drawn.height,
        "gutter": GUTTER, "panels": drawn.panels, "degraded": scores[0], "restored": scores[1],
    }  # fmt: skip


def _metrics(scores: Sequence[SliceScore], found: Sequence[Findings]) -> dict[str, Any]:
    """metrics.json: the scores of the whole test sets by protocol, and the studies' findings about each set."""
    metrics: dict[str, Any] = {}
    for score in scores:
        if score.slice == ALL:
            of_set = metrics.setdefault(score.dataset, {"n": score.n, "photographs": score.photographs})
            of_set[score.protocol] = {
                "degraded": score.degraded, "restored": score.restored, "gain": score.gain,
                "ci95_low": score.ci95[0], "ci95_high": score.ci95[1],
            }  # fmt: skip
    for findings in found:
        for dataset, values in findings.metrics.items():
            metrics[dataset] |= values
    return metrics
