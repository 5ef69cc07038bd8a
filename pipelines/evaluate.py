"""model + test shards + real pairs -> data/evaluations/<run>/: the version in the registry, scored on whole images.

python -m pipelines.evaluate --run dmgn-rain
python -m pipelines.evaluate --run madf-inpainting --model DIR     another model's folder on the run's tests
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from restorekit.cluster import named_cluster
from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.evaluation.inside import inside_pictures
from restorekit.evaluation.judge import restoring, scoring
from restorekit.evaluation.localised import localiser_of
from restorekit.evaluation.masks import Localiser, MaskFigure, MaskScore, mask_figures, score_mask, write_mask_table
from restorekit.evaluation.opponents import by_opponent, opponents_rows
from restorekit.evaluation.overlays import overlays
from restorekit.evaluation.pairs import Facts, Pair, PairSet
from restorekit.evaluation.paths import score_paths
from restorekit.evaluation.pictures import GUTTER, choose, triptych
from restorekit.evaluation.real import PictureSet, picture_sets, scored_sets
from restorekit.evaluation.score import ImageScore, Restore, Restored, write_table
from restorekit.evaluation.slices import ALL, SliceScore, slice_scores
from restorekit.evaluation.versus import versus
from restorekit.files import write_beside, write_json
from restorekit.image import encode_rgb, to_uint8
from restorekit.metrics.masks import changed
from restorekit.models.glsgn import GLSGN
from restorekit.paths import Paths, working_root
from restorekit.storage import fetch, push
from restorekit.tracking.registry import find_or_register, load_version, set_tags
from restorekit.tracking.runs import RunLogger
from restorekit.tracking.store import tracking_uri
from restorekit.tracking.versions import RegisteredVersion

Shown = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # degraded, restored, clean
MAPS = 3  # images of a set whose masks, gates and context are drawn


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
    localiser = localiser_of(model, params.evaluate.precision)

    with named_cluster() as spread, write_beside(paths.evaluation(run)) as folder:
        scored = scoring(model, params.evaluate.precision, spread)
        (folder / "samples").mkdir(parents=True)
        rows: list[ImageScore] = []
        opponents: list[dict[str, ImageScore]] = []
        samples: list[dict[str, Any]] = []
        masks = _Masks(folder, localiser)
        for pairs in tests:
            found = _score_set(folder, pairs, scored, params.evaluate.samples, masks)
            rows += found.rows
            opponents += found.opponents
            samples += found.samples
        for pictures in unpaired:
            samples += _write_pictures(folder, pictures, restore, params.evaluate.samples)
        scores = slice_scores(rows, params.seed, params.evaluate.resamples)
        against = versus(rows, by_opponent(opponents), params.seed, params.evaluate.resamples)
        write_table(folder / "table.csv", rows)
        figures = masks.write(params)
        beside = score_paths(model, tests[0], params.evaluate.precision) if isinstance(model, GLSGN) else {}
        write_json(folder / "metrics.json", {**_metrics(scores, figures), **({"patches": beside} if beside else {})})
        write_json(
            folder / "evaluation.json",
            {
                "format": 1, "run": run, "model": record["model"], "task": record["task"],
                "trained_on": record["dataset"], "digest": record["digest"], "steps": record["steps"],
                "name": version.name, "version": version.version, "precision": params.evaluate.precision,
                "tests": [{"dataset": pairs.name, "digest": pairs.digest} for pairs in tests],
                "unpaired": [{"dataset": pictures.name, "digest": pictures.digest} for pictures in unpaired],
                "scores": [score.to_json() for score in scores],
                "versus": [one.to_json() for one in against],
                "inside": _write_inside(folder, model, tests, samples),
                "samples": sorted(samples, key=lambda sample: sample["file"]),
                "masks": [figure.to_json() for figure in figures], "maps": masks.maps,
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
        seams = beside["seams"]
        apart = (
            f"; at patch borders {seams['apart']:.2g} dB, {seams['apart_degraded']:.2g} of the input" if seams else ""
        )
        print(f"{run} version {version.version}, PSNR of each path at its scale: {', '.join(paths_found)}{apart}")


class _Scored(NamedTuple):
    """What came of one test set."""

    rows: list[ImageScore]
    opponents: list[dict[str, ImageScore]]  # of images with holes
    samples: list[dict[str, Any]]


def _score_set(
    folder: Path, pairs: PairSet, scored: Callable[[PairSet], Iterator[Restored]], count: int, masks: "_Masks"
) -> _Scored:
    """The rows of a set, those of opponents, and its pictures."""
    chosen, rows, opponents, samples = choose(pairs.facts(), count), [], [], []
    for restored in scored(pairs):
        row, pair = restored.score, restored.pair
        rows.append(row)
        if pair.facts.hole_share is not None:
            opponents.append(opponents_rows(pair, row))
        masks.take(pairs.name, restored, pair.facts.key in chosen[:MAPS])
        if pair.facts.key in chosen:
            shown = (pair.degraded, restored.image, pair.clean)
            place = f"{pairs.name}-{chosen.index(pair.facts.key) + 1:02d}"
            samples.append(_write_sample(folder, place, pairs.name, pair.facts, shown, (row.degraded, row.restored)))
    return _Scored(rows, opponents, samples)


def _write_inside(
    folder: Path, model: nn.Module, tests: list[PairSet], samples: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Pictures of what goes on inside the network for the first of the samples with holes."""
    shown = {(one["dataset"], one["key"]) for one in samples if one["hole_share"] is not None}
    all_pairs = (pair for pairs in tests if shown for pair in pairs.open() if (pairs.name, pair.facts.key) in shown)
    written = []
    for pair in islice(all_pairs, 1):
        for picture in inside_pictures(model, pair):
            file = f"samples/inside-{picture.name}.png"
            (folder / file).write_bytes(encode_rgb(picture.image, "png"))
            written.append({"file": file, "says": picture.says, "photograph": pair.facts.photograph})
    return written


class _Masks:
    """Collects what a network that localises shows of each pair; without one, nothing."""

    def __init__(self, folder: Path, localiser: Localiser | None) -> None:
        self._folder, self._localiser = folder, localiser
        self._rows: list[MaskScore] = []
        self.maps: list[dict[str, Any]] = []

    def take(self, dataset: str, restored: Restored, is_shown: bool) -> None:
        """Scores the mask of a restored pair, and draws its maps if it is to be shown."""
        if self._localiser is None:
            return
        pair, shown = restored.pair, self._localiser.locate(restored.pair.degraded)
        self._rows.append(score_mask(dataset, pair, restored.image, shown, self._localiser))
        if is_shown:
            drawn = overlays(pair.degraded, changed(pair.degraded, pair.clean, self._localiser.tau), shown)
            file = f"maps/{dataset}-{len(self.maps) + 1:02d}.png"
            (self._folder / "maps").mkdir(exist_ok=True)
            (self._folder / file).write_bytes(encode_rgb(drawn.image, "png"))
            told = {"key": pair.facts.key, "photograph": pair.facts.photograph, "panels": list(drawn.names)}
            self.maps.append({"file": file, "dataset": dataset, **told})

    def write(self, params: Params) -> list[MaskFigure]:
        """Writes masks.csv, where there are rows, and returns their figures."""
        if self._rows:
            write_mask_table(self._folder / "masks.csv", self._rows)
        return mask_figures(self._rows, params.seed, params.evaluate.resamples)


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


def _metrics(scores: list[SliceScore], figures: list[MaskFigure]) -> dict[str, Any]:
    """What `dvc metrics show` shows: the whole test sets, by protocol, and the masks of a network that localises."""
    metrics: dict[str, Any] = {}
    for score in scores:
        if score.slice == ALL:
            of_set = metrics.setdefault(score.dataset, {"n": score.n, "photographs": score.photographs})
            of_set[score.protocol] = {
                "degraded": score.degraded, "restored": score.restored, "gain": score.gain,
                "ci95_low": score.ci95[0], "ci95_high": score.ci95[1],
            }  # fmt: skip
    for figure in figures:
        low, high = figure.ci95
        of_mask = metrics[figure.dataset].setdefault("mask", {})
        of_mask[figure.name] = {"mean": figure.mean, "ci95_low": low, "ci95_high": high}
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
