"""evaluations -> the alias `champion` in the registry, and data/promotions/decisions.json: one stage for all runs.

python -m pipelines.promote
python -m pipelines.promote --run dmgn-rain--long    (one run by itself, -> data/long/promotions/<run>/)
"""

import argparse
import os
from pathlib import Path

import torch

from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError, unknown_name
from restorekit.evaluation.results import ImageScore, read_table
from restorekit.evaluation.test_sets import PairSet, gate_set
from restorekit.files import read_json, write_json
from restorekit.paths import Paths, working_root
from restorekit.storage import fetch, push
from restorekit.tracking.decisions import DecisionRecord, recorded_decisions
from restorekit.tracking.gate import alias_of, judge
from restorekit.tracking.registry import find_or_register
from restorekit.tracking.versions import RegisteredVersion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="one of the long runs, which `make long` trains")
    run = parser.parse_args().run
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    params = load_params(Path("params.yaml"))
    paths = working_root().with_areas(params.areas)
    if run is not None and run not in params.long.runs:
        raise unknown_name("long run", run, params.long.runs)
    promote(params, paths, run)


def promote(params: Params, paths: Paths, only: str | None = None) -> None:
    """Judges every run's version in turn and writes the log: today's decisions, and all that the registry remembers."""
    runs, folder = (params.runs, paths.promotions) if only is None else ([only], paths.promotion(only))
    decisions = [judge_run(run, params, paths) for run in runs]
    names = sorted({decision.name for decision in decisions})
    write_json(
        folder / "decisions.json",
        {
            "current": [{**decision.to_json(), "alias": alias_of(decision, paths.root)} for decision in decisions],
            "history": [decision.to_json() for name in names for decision in recorded_decisions(name, paths.root)],
        },
    )
    push(folder)
    for decision in decisions:
        print(f"{decision.run} version {decision.version}: {decision.decision}. {'; '.join(decision.reasons)}.")


def judge_run(run: str, params: Params, paths: Paths) -> DecisionRecord:
    """The decision about the model in data/models/<run>/, by its evaluation."""
    pairs = gate_set(run, params, paths, Path.cwd())
    candidate = find_or_register(fetch(paths.model(run)), paths.root)
    fetch(paths.evaluation(run))
    return judge(run, candidate, evaluated(run, candidate, pairs, paths), pairs, params, paths.root)


def evaluated(run: str, candidate: RegisteredVersion, pairs: PairSet, paths: Paths) -> list[ImageScore]:
    """The rows of the run's evaluation on `pairs`, once it is sure that they are of this model and of these images."""
    remedy = "run `dvc repro evaluate`"
    evaluation = read_json(paths.evaluation(run) / "evaluation.json", f"evaluation of '{run}'", remedy)
    if evaluation["digest"] != candidate.digest:
        raise RestorekitError(f"the evaluation of '{run}' is of another model than data/models/{run}: {remedy}")
    if {"dataset": pairs.name, "digest": pairs.digest} not in evaluation["tests"]:
        raise RestorekitError(f"the evaluation of '{run}' is on other test images than data/shards holds: {remedy}")
    return [row for row in read_table(paths.evaluation(run) / "table.csv") if row.dataset == pairs.name]


if __name__ == "__main__":
    run_entry(main)
