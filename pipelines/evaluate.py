"""model + test shards + real pairs -> data/evaluations/<run>/: the version in the registry, scored on whole images.

python -m pipelines.evaluate --run dmgn-rain
python -m pipelines.evaluate --run madf-inpainting --model DIR     another model's folder on the run's tests
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restorekit.cluster import named_cluster
from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.evaluation.judge import restoring, scoring
from restorekit.evaluation.pairs import Facts, Pair, PairSet
from restorekit.evaluation.pictures import GUTTER, choose, triptych
from restorekit.evaluation.real import PictureSet, picture_sets, scored_sets
from restorekit.evaluation.score import ImageScore, Restore, Restored, write_table
from restorekit.evaluation.slices import ALL, SliceScore, slice_scores
from restorekit.evaluation.studies import EVALUATION_FORMAT, Findings, Study, studies_of
from restorekit.files import write_beside, write_json
from restorekit.image import encode_rgb, to_uint8
from restorekit.inference.self_ensemble import AS_IT_IS, trained_views
from restorekit.paths import Paths, working_root
from restorekit.storage import fetch, push
from restorekit.tracking.registry import find_or_register, load_version, set_tags
from restorekit.tracking.runs import RunLogger
from restorekit.tracking.store import tracking_uri
from restorekit.tracking.versions import RegisteredVersion

Shown = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # degraded, restored, clean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="a key of `runs` in params.yaml")
    parser.add_argument("--model", type=Path, help="a model's folder, as of `restorekit import-weights`")
    found = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    params = load_params(Path("params.yaml"))
    evaluate(found.run, params, working_root().with_areas(params.areas), found.model)


def evaluate(run: str, params: Params, paths: Paths, given: Path | None = None) -> None:
    """Writes data/evaluations/<run>/ whole, then tells MLflow.

    With `given`, another model's folder, that model is registered and judged on the run's test sets instead, and its
    evaluation goes to data/imported/evaluations/.
    """
    tests = scored_sets(run, params, paths, Path.cwd())
    unpaired = picture_sets(run, params, Path.cwd())
    version = find_or_register(given or fetch(paths.model(run)), paths.root)
    model, record = load_version(version, paths.root)
    if given is not None:
        run = record["run"]
        paths = paths.with_areas({**paths.areas, run: "imported"})
    restore = restoring(model, params.evaluate.precision)
    views = trained_views(record) if params.evaluate.self_ensemble else AS_IT_IS
    if params.evaluate.self_ensemble and len(views) == 1:
        print(f"{run} was trained without flips: there is no mean of views to score")

    with named_cluster() as spread, write_beside(paths.evaluation(run)) as folder:
        scored = scoring(model, params.evaluate.precision, spread)
        (folder / "samples").mkdir(parents=True)
        studies = studies_of(model, params.evaluate.precision, folder, views)
        rows: list[ImageScore] = []
        samples: list[dict[str, Any]] = []
        for pairs in tests:
            of_set, shown = _score_set(folder, pairs, scored, params.evaluate.samples, studies)
            rows += of_set
            samples += shown
        for pictures in unpaired:
            samples += _write_pictures(folder, pictures, restore, params.evaluate.samples)
        scores = slice_scores(rows, params.seed, params.evaluate.resamples)
        found = [study.findings(rows, params.seed, params.evaluate.resamples) for study in studies]
        write_table(folder / "table.csv", rows)
        write_json(folder / "metrics.json", _metrics(scores, found))
        write_json(
            folder / "evaluation.json",
            {
                "format": EVALUATION_FORMAT, "run": run, "model": record["model"], "task": record["task"],
                "trained_on": record["dataset"], "digest": record["digest"], "steps": record["steps"],
                "name": version.name, "version": version.version, "precision": params.evaluate.precision,
                "tests": [{"dataset": pairs.name, "digest": pairs.digest} for pairs in tests],
                "unpaired": [{"dataset": pictures.name, "digest": pictures.digest} for pictures in unpaired],
                "scores": [score.to_json() for score in scores],
                "samples": sorted(samples, key=lambda sample: sample["file"]),
                **{key: value for findings in found for key, value in findings.evaluation.items()},
            },
        )  # fmt: skip
    push(paths.evaluation(run))
    _tell_mlflow(version, record, scores, paths)
    for line in [*_headlines(scores), *(line for findings in found for line in findings.lines)]:
        print(f"{run} version {version.version}, {line}")


def _headlines(scores: list[SliceScore]) -> list[str]:
    return [
        f"{score.dataset}: {score.protocol} {score.degraded:.4g} -> {score.restored:.4g}, gain {score.gain:+.4g} "
        f"(95% {score.ci95[0]:+.4g} to {score.ci95[1]:+.4g}), {score.n} images of {score.photographs} photographs"
        for score in scores
        if score.slice == ALL and score.protocol in ("psnr_rgb", "ssim_rgb")
    ]


def _score_set(
    folder: Path,
    pairs: PairSet,
    scored: Callable[[PairSet], Iterator[Restored]],
    count: int,
    studies: list[Study],
) -> tuple[list[ImageScore], list[dict[str, Any]]]:
    """The rows of a set, and its pictures."""
    chosen, rows, samples = choose(pairs.facts(), count), [], []
    for restored in scored(pairs):
        row, pair = restored.score, restored.pair
        rows.append(row)
        number = chosen.index(pair.facts.key) if pair.facts.key in chosen else None
        for study in studies:
            study.take(pairs.name, restored, number)
        if number is not None:
            shown = (pair.degraded, restored.image, pair.clean)
            place = f"{pairs.name}-{number + 1:02d}"
            samples.append(_write_sample(folder, place, pairs.name, pair.facts, shown, (row.degraded, row.restored)))
    return rows, samples


def _write_sample(
    folder: Path,
    place: str,
    dataset: str,
    facts: Facts,
    shown: Shown,
    scores: tuple[dict[str, float], dict[str, float]],
) -> dict[str, Any]:
    """Writes a triptych and returns what the report needs to know of it."""
    drawn = triptych(*shown)
    file = f"samples/{place}.png"
    (folder / file).write_bytes(encode_rgb(drawn.image, "png"))
    return {
        "file": file, "dataset": dataset, **asdict(facts), "width": drawn.width, "height": drawn.height,
        "gutter": GUTTER, "panels": drawn.panels, "degraded": scores[0], "restored": scores[1],
    }  # fmt: skip


def _write_pictures(folder: Path, pictures: PictureSet, restore: Restore, count: int) -> list[dict[str, Any]]:
    """Writes some photographs that have no clean image, before and after."""
    chosen, samples = choose(pictures.facts, count), []
    for facts, degraded in pictures.open(chosen):
        image = to_uint8(restore(Pair(facts, degraded, clean=degraded)))  # nothing is scored
        place = f"{pictures.name}-{chosen.index(facts.key) + 1:02d}"
        samples.append(_write_sample(folder, place, pictures.name, facts, (degraded, image, None), ({}, {})))
    return samples


def _metrics(scores: list[SliceScore], found: list[Findings]) -> dict[str, Any]:
    """What `dvc metrics show` shows: the whole test sets, by protocol, and what the studies found of them."""
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


def _tell_mlflow(version: RegisteredVersion, record: dict[str, Any], scores: list[SliceScore], paths: Paths) -> None:
    """Metrics and triptychs to the training's run; the means of the whole sets as tags of the version."""
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    for score in scores:
        where = f"{score.dataset}/{score.protocol}" + ("" if score.slice == ALL else f"/{score.slice}")
        metrics |= {
            f"{where}/degraded": score.degraded,
            f"{where}/restored": score.restored,
            f"{where}/gain": score.gain,
        }
        if score.slice == ALL:
            tags[f"{score.dataset}.{score.protocol}"] = f"{score.restored:.5g}, gain {score.gain:+.3g}"
    logger = RunLogger(tracking_uri(paths.root), version.run_id)
    logger.log_metrics(metrics, step=int(record["steps"]))
    logger.log_files(paths.evaluation(record["run"]) / "samples", "evaluation")
    set_tags(version, tags, paths.root)


if __name__ == "__main__":
    run_entry(main)
