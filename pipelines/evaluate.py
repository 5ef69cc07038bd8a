"""model + test shards + real pairs -> data/evaluations/<run>/: the version in the registry, scored on whole images.

python -m pipelines.evaluate --run dmgn-reflection
python -m pipelines.evaluate --run madf-inpainting --model DIR     another model's folder on the run's tests
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from restorekit.cluster import named_cluster
from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.evaluation.folder import Subject, write_evaluation
from restorekit.evaluation.results import ALL, CleanFigure, SliceScore
from restorekit.evaluation.test_sets import picture_sets, scored_sets, shift_notes
from restorekit.files import write_atomically
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.storage import fetch, push
from restorekit.tracking.registry import find_or_register, load_version, set_tags
from restorekit.tracking.runs import RunLogger
from restorekit.tracking.store import tracking_uri
from restorekit.tracking.versions import RegisteredVersion


def main() -> None:
    parser = stage_parser(__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--run", help="a key of `runs`")
    chosen.add_argument("--ablations", metavar="RUN", help="all ablations of a run, of which there may be none")
    parser.add_argument("--model", type=Path, help="a model's folder, as of `restorekit import-weights`")
    found = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    read = partial(load_params, Path("params.yaml"), found.params)
    params = read()
    paths = working_root().with_areas(params.areas)
    if found.ablations:
        folder = paths.ablations_of(params.run(found.ablations).model, found.ablations)
        (folder / "evaluations").mkdir(parents=True, exist_ok=True)
    runs = params.ablations_of(found.ablations) if found.ablations else [found.run]
    with unchanged("evaluate", lambda: settings(runs, read())):
        for run in runs:
            evaluate(run, params, paths, found.model)


def settings(runs: list[str], params: Params) -> list[Any]:
    """The parameters that the evaluations of runs depend on."""
    real = [params.real.evaluate, params.real.validation]
    return [params.seed, params.evaluate, real, [params.run(name).dataset for name in runs]]


def evaluate(run: str, params: Params, paths: Paths, given: Path | None = None) -> None:
    """Writes data/evaluations/<run>/ whole, then logs it to MLflow.

    With `given`, another model's folder, that model is registered and judged on the run's test sets instead, and its
    evaluation goes to data/imported/evaluations/.
    """
    tests = scored_sets(run, params, paths, Path.cwd())
    unpaired = picture_sets(run, params, Path.cwd())
    for note in shift_notes(tests):
        print(f"note: {note}")
    version = find_or_register(given or fetch(paths.model(run)), paths.root)
    model, record = load_version(version, paths.root)
    if given is not None:
        run = record["run"]
        paths = paths.with_areas({**paths.areas, run: "imported"})
    subject = Subject(run, version.name, version.version, model, record)
    with named_cluster() as spread, write_atomically(paths.evaluation(run)) as folder:
        scores, cleans, lines = write_evaluation(folder, subject, tests, unpaired, params, spread)
    push(paths.evaluation(run))
    _log(version, record, scores, cleans, paths)
    for line in lines:
        print(f"{run} version {version.version}, {line}")


def _log(
    version: RegisteredVersion,
    record: dict[str, Any],
    scores: list[SliceScore],
    cleans: list[CleanFigure],
    paths: Paths,
) -> None:
    """Metrics and pictures to the training's MLflow run; the means of the whole sets as tags of the version."""
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    for score in scores:
        where = f"{score.dataset}/{score.protocol}" + ("" if score.slice == ALL else f"/{score.slice}")
        values = {"degraded": score.degraded, "restored": score.restored, "gain": score.gain}
        metrics |= {f"{where}/{name}": value for name, value in values.items()}
        if score.slice == ALL:
            tags[f"{score.dataset}.{score.protocol}"] = f"{score.restored:.5g}, gain {score.gain:+.3g}"
    for figure in cleans:
        where = f"{figure.dataset}/{figure.name}"
        metrics |= {f"{where}/mean": figure.mean, f"{where}/worst": figure.worst}
        tags[f"{figure.dataset}.{figure.name}"] = f"{figure.mean:.5g}, worst {figure.worst:.5g}"
    logger = RunLogger(tracking_uri(paths.root), version.run_id)
    logger.log_metrics(metrics, step=int(record["steps"]))
    logger.log_files(paths.evaluation(record["run"]) / "samples", "evaluation")
    set_tags(version, tags, paths.root)


if __name__ == "__main__":
    run_entry(main)
