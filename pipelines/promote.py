"""evaluations -> the alias `champion` in the registry, and data/promotions/decisions.json: one stage for all runs.

python -m pipelines.promote
python -m pipelines.promote --params pipelines/long/params.yaml --run madf-inpainting--long    (one run by itself)
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.errors import RestorekitError
from restorekit.evaluation.results import (
    CleanFigure,
    ImageScore,
    not_evaluated,
    not_trained,
    read_evaluation,
    stage_of,
)
from restorekit.evaluation.table import read_table
from restorekit.evaluation.test_sets import PairSet, gate_set
from restorekit.files import write_json
from restorekit.metrics.clean_metrics import CLEAN_PSNR
from restorekit.models.checkpoint import read_record
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.storage import fetch, push
from restorekit.tracking.decisions import recorded_decisions
from restorekit.tracking.gate import alias_of, judge
from restorekit.tracking.registry import find_or_register


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--run", help="one run by itself; default: all runs")
    found = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    read = partial(load_params, Path("params.yaml"), found.params)
    params = read()
    with unchanged("promote", lambda: settings(read())) as check:
        promote(params, working_root().with_areas(params.areas, params.pipeline), found.run, check)


def settings(params: Params) -> list[Any]:
    """The parameters that the decisions depend on."""
    real = [params.real.evaluate, params.real.validation]
    return [params.seed, params.promote, params.evaluate, params.runs, real]


@dataclass(frozen=True)
class Evaluated:
    """A run with a model and an evaluation that belong together."""

    run: str
    model: Path
    pairs: PairSet  # the test images that decide
    rows: list[ImageScore]  # the model's scores on them
    clean: CleanFigure | None  # the model's PSNR on their clean photographs; None for a network that takes a mask


def promote(params: Params, paths: Paths, only: str | None = None, check: Callable[[], None] = lambda: None) -> None:
    """Judges every evaluated run in turn and writes the log: today's decisions, and all that the registry has recorded.

    Every evaluation is read and checked, and every model registered, before the first alias of a champion changes; so
    is `check` called. Runs that are not evaluated yet are named.
    """
    if only is not None:
        params.run(only)
        if only not in params.areas:
            raise RestorekitError(f"'{only}' is promoted with the other runs of params.yaml: leave --run out")
    runs, folder = (params.runs, paths.promotions) if only is None else ([only], paths.promotion(only))
    evaluated, left_out = read_evaluated(runs, params, paths)
    candidates = [find_or_register(one.model, paths.root) for one in evaluated]
    check()
    decisions = [
        judge(one.run, candidate, one.rows, one.pairs, params, paths.root, one.clean)
        for one, candidate in zip(evaluated, candidates, strict=True)
    ]
    names = sorted({decision.name for decision in decisions})
    write_json(
        folder / "decisions.json",
        {
            "current": [{**decision.to_json(), "alias": alias_of(decision, paths.root)} for decision in decisions],
            "history": [decision.to_json() for name in names for decision in recorded_decisions(name, paths.root)],
            "left_out": [{"run": run, "reason": reason} for run, reason in left_out.items()],
        },
    )
    push(folder)
    for decision in decisions:
        print(f"{decision.run} version {decision.version}: {decision.decision}. {'; '.join(decision.reasons)}.")
    for run, reason in left_out.items():
        print(f"{run} is {reason}")
    for run, dataset in params.left_out.items():
        print(f"{run} is left out: no data set '{dataset}'")


def read_evaluated(runs: Iterable[str], params: Params, paths: Paths) -> tuple[list[Evaluated], dict[str, str]]:
    """The runs that can be judged, and the reason for each of the others.

    A RestorekitError where no run can be judged, or an evaluation is of another model or of other test images.
    """
    evaluated, left_out = [], {}
    for run in runs:
        model, folder = fetch(paths.model(run)), fetch(paths.evaluation(run))
        reason = not_trained(paths, run) or not_evaluated(paths, run)
        if reason is not None:
            left_out[run] = reason
            continue
        pairs = gate_set(run, params, paths, Path.cwd())
        remedy = f"run `dvc repro {stage_of('evaluate', paths, run)}`"
        evaluation = read_evaluation(folder, run, remedy)
        if evaluation["digest"] != read_record(model)["digest"]:
            raise RestorekitError(f"the evaluation of '{run}' is of another model than {model}: {remedy}")
        if {"dataset": pairs.name, "digest": pairs.digest} not in evaluation["tests"]:
            raise RestorekitError(f"the evaluation of '{run}' is on other test images than data/shards holds: {remedy}")
        rows = [row for row in read_table(folder / "table.csv") if row.dataset == pairs.name]
        cleans = [CleanFigure.from_json(one) for one in evaluation["clean"]]
        clean = {one.dataset: one for one in cleans if one.name == CLEAN_PSNR}
        evaluated.append(Evaluated(run, model, pairs, rows, clean[pairs.name] if clean else None))
    if not evaluated:
        reasons = "; ".join(f"{run} is {why}" for run, why in left_out.items())
        raise RestorekitError(f"nothing to promote: {reasons or 'there are no runs'}")
    return evaluated, left_out


if __name__ == "__main__":
    run_entry(main)
