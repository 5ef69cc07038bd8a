"""model + test shards + real pairs -> data/evaluations/<run>/: the version in the registry, scored on whole images.

python -m pipelines.evaluate --run dmgn-rain
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.evaluation.judge import restoring
from restorekit.evaluation.pairs import Facts, Pair, PairSet
from restorekit.evaluation.paths import score_paths
from restorekit.evaluation.pictures import GUTTER, choose, triptych
from restorekit.evaluation.real import PictureSet, picture_sets, scored_sets
from restorekit.evaluation.score import ImageScore, Restore, score_pairs, write_table
from restorekit.evaluation.slices import ALL, SliceScore, slice_scores
from restorekit.files import write_beside, write_json
from restorekit.image import encode_rgb, to_uint8
from restorekit.models.glsgn import GLSGN
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
    run = parser.parse_args().run
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    params = load_params(Path("params.yaml"))
    evaluate(run, params, working_root().with_areas(params.areas))


def evaluate(run: str, params: Params, paths: Paths) -> None:
    """Writes data/evaluations/<run>/ whole, then tells MLflow."""
    tests = scored_sets(run, params, paths, Path.cwd())
    unpaired = picture_sets(run, params, Path.cwd())
    version = find_or_register(fetch(paths.model(run)), paths.root)
    model, record = load_version(version, paths.root)
    restore = restoring(model, params.evaluate.precision)

    with write_beside(paths.evaluation(run)) as folder:
        (folder / "samples").mkdir(parents=True)
        rows: list[ImageScore] = []
        samples: list[dict[str, Any]] = []
        for pairs in tests:
            of_set, shown = _score_set(folder, pairs, restore, params.evaluate.samples)
            rows += of_set
            samples += shown
        for pictures in unpaired:
            samples += _write_pictures(folder, pictures, restore, params.evaluate.samples)
        scores = slice_scores(rows, params.seed, params.evaluate.resamples)
        write_table(folder / "table.csv", rows)
        beside = score_paths(model, tests[0], params.evaluate.precision) if isinstance(model, GLSGN) else {}
        write_json(folder / "metrics.json", {**_metrics(scores), **({"patches": beside} if beside else {})})
        write_json(
            folder / "evaluation.json",
            {
                "format": 1, "run": run, "model": record["model"], "task": record["task"],
                "trained_on": record["dataset"], "digest": record["digest"], "steps": record["steps"],
                "name": version.name, "version": version.version, "precision": params.evaluate.precision,
                "tests": [{"dataset": pairs.name, "digest": pairs.digest} for pairs in tests],
                "unpaired": [{"dataset": pictures.name, "digest": pictures.digest} for pictures in unpaired],
                "scores": [score.to_json() for score in scores],
                "samples": sorted(samples, key=lambda sample: sample["file"]),
            },
        )  # fmt: skip
    push(paths.evaluation(run))
    _tell_mlflow(version, record, scores, paths)
    for score in scores:
        if score.slice == ALL and score.protocol in ("psnr_rgb", "ssim_rgb"):
            low, high = score.ci95
            print(
                f"{run} version {version.version}, {score.dataset}: {score.protocol} {score.degraded:.4g} -> "
                f"{score.restored:.4g}, gain {score.gain:+.4g} (95% {low:+.4g} to {high:+.4g}), "
                f"{score.n} images of {score.photographs} photographs"
            )
    if beside:
        paths_found = (
            f"{name} {one['degraded']:.4g} -> {one['restored']:.4g}" for name, one in beside["paths"].items()
        )
        apart = f"; gap at patch borders {beside['seams']['apart']:.2g} dB" if beside["seams"] else ""
        print(f"{run} version {version.version}, PSNR of each path at its scale: {', '.join(paths_found)}{apart}")


def _score_set(
    folder: Path, pairs: PairSet, restore: Restore, count: int
) -> tuple[list[ImageScore], list[dict[str, Any]]]:
    """The rows of a set, and its pictures."""
    chosen, rows, samples = choose(pairs.facts(), count), [], []
    for restored in score_pairs(pairs, restore):
        row, pair = restored.score, restored.pair
        rows.append(row)
        if pair.facts.key in chosen:
            shown = (pair.degraded, restored.image, pair.clean)
            place = f"{pairs.name}-{chosen.index(pair.facts.key) + 1:02d}"
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


def _metrics(scores: list[SliceScore]) -> dict[str, Any]:
    """What `dvc metrics show` shows: the whole test sets, by protocol."""
    metrics: dict[str, Any] = {}
    for score in scores:
        if score.slice == ALL:
            of_set = metrics.setdefault(score.dataset, {"n": score.n, "photographs": score.photographs})
            of_set[score.protocol] = {
                "degraded": score.degraded, "restored": score.restored, "gain": score.gain,
                "ci95_low": score.ci95[0], "ci95_high": score.ci95[1],
            }  # fmt: skip
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
