"""Writes pipelines/mixed/dvc.yaml: the stages of the runs on several data sets in params.yaml beside it.

DVC makes no list of dependencies from a mapping of shares, so every run has stages of its own here. They are those of
pipelines/long, with a dependency for each data set.

python -m pipelines.mixed.stages
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from restorekit.config import Run, load_params
from restorekit.config.layers import read_values
from restorekit.entry import run_entry
from restorekit.files import write_atomically

HERE = Path(__file__).parent
LIKE = HERE.parent / "long" / "dvc.yaml"
HEAD = """\
# `make mixed` writes this file from params.yaml beside it: do not edit it. DVC makes no list of dependencies from a
# mapping, so every run on several data sets has stages of its own, which depend on all its data sets.
"""


def main() -> None:
    file = HERE / "params.yaml"
    params = load_params(Path("params.yaml"), file)
    own = read_values(file)["runs"]
    text = written((name, run) for name, run in params.runs.items() if name in own)
    with write_atomically(HERE / "dvc.yaml") as partial_file:
        partial_file.write_text(text)
    for run, dataset in params.left_out.items():
        if run in own:
            print(f"{run} is left out: no data set '{dataset}'")


def written(runs: Iterable[tuple[str, Run]]) -> str:
    """The text of dvc.yaml with the stages `train-<run>`, `evaluate-<run>` and `promote-<run>` of every run."""
    like = read_values(LIKE)["stages"]
    made = {
        f"{stage}-{name}": _of_run(like[stage]["do"], name, run)
        for name, run in runs
        for stage in ("train", "evaluate", "promote")
    }
    return HEAD + yaml.safe_dump({"stages": made}, sort_keys=False, width=120)


def _of_run(body: Any, name: str, run: Run) -> Any:
    """The stage of a run, from a body of a loop over runs."""
    again = partial(_of_run, name=name, run=run)
    if isinstance(body, dict):
        return {again(key): again(value) for key, value in body.items()}
    if isinstance(body, list):
        return [one for value in body for one in (_each_set(run) if "${item.dataset}" in value else [again(value)])]
    text = str(body).replace("pipelines/long/", "pipelines/mixed/").replace("data/long/", "data/mixed/")
    return text.replace("${key}", name).replace("${item.model}", run.model)


def _each_set(run: Run) -> list[str]:
    return [f"data/shards/{dataset}" for dataset in run.shares]


if __name__ == "__main__":
    run_entry(main)
