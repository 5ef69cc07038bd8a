"""leaderboard.json: a row for each run, test set, slice and protocol, for programs to read."""

from collections.abc import Iterable
from typing import Any

from restorekit.evaluation.results import SliceScore
from restorekit.report.inputs import RunResult


def leaderboard(results: Iterable[RunResult]) -> dict[str, list[dict[str, Any]]]:
    """The rows of all runs. `degraded` and `restored` are means over n images; `ci95` is that of the mean paired gain.

    The gain is an improvement where it is positive: restored - degraded, or the reverse where `better` is "lower".
    `alias` is "champion", "candidate", or "" for a version that is neither. `opponents` fill the same holes without
    having learnt to: a row for each of them, with the run's mean and the interval of its lead over the same images.
    """
    results = list(results)
    return {
        "rows": [_row(result, score) for result in results for score in result.scores],
        "opponents": [{"run": result.run, **one.to_json()} for result in results for one in result.opponents],
    }


def _row(result: RunResult, score: SliceScore) -> dict[str, Any]:
    return {
        "run": result.run, "model": result.model, "task": result.task, "version": result.version,
        "alias": result.alias, "dataset": score.dataset, "slice": score.slice, "n": score.n,
        "photographs": score.photographs, "protocol": score.protocol, "better": score.better,
        "degraded": score.degraded, "restored": score.restored, "ci95": list(score.ci95),
    }  # fmt: skip
