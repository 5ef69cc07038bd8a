"""The report's inputs, read from the outputs of the earlier stages and checked to belong together."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restorekit.distributed.figures import read_curves
from restorekit.errors import RestorekitError
from restorekit.evaluation.results import (
    CLEAN,
    CleanFigure,
    MaskFigure,
    OpponentScore,
    SliceScore,
    not_evaluated,
    read_evaluation,
)
from restorekit.files import read_json
from restorekit.metrics.clean_metrics import CLEAN_METRICS
from restorekit.paths import Paths


@dataclass(frozen=True)
class Sample:
    """A picture of three panels of `width` x `height` pixels with gutters; of two panels without a clean image."""

    file: Path
    key: str
    photograph: str
    kind: str | None
    severity: float | None
    hole_share: float | None
    width: int
    height: int
    gutter: int
    panels: int
    dataset: str
    degraded: dict[str, float]
    restored: dict[str, float]  # of a clean photograph: the figures of CLEAN_METRICS, where they are defined


@dataclass(frozen=True)
class Picture:
    """Panels side by side in one file: maps over a photograph, or a network's inner maps."""

    file: Path
    photograph: str
    caption: str


@dataclass(frozen=True)
class Past:
    """A decision of the gate, the current one or an earlier one."""

    version: int
    decision: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class RunResult:
    """One run: the model, its scores, the gate's decision and the curves of its training."""

    run: str
    model: str
    task: str
    trained_on: str  # the data set
    digest: str
    steps: int
    version: int
    alias: str  # "" for a version without one
    name: str  # of the registered model
    decision: str
    reasons: tuple[str, ...]
    history: tuple[Past, ...]  # all decisions about the registered model, oldest first
    scores: tuple[SliceScore, ...]
    samples: tuple[Sample, ...]
    curves: tuple[tuple[int, str, float], ...]  # step, name, value
    opponents: tuple[OpponentScore, ...] = ()  # for a network that fills holes
    opponents_say: dict[str, str] | None = None  # a few words about each opponent, by name
    mask_features: tuple[Picture, ...] = ()
    masks: tuple[MaskFigure, ...] = ()  # for a network that predicts masks
    maps: tuple[Picture, ...] = ()
    patches: tuple[dict[str, Any], ...] = ()  # for a network of several paths: `path_means` of each test set
    cleans: tuple[CleanFigure, ...] = ()  # for a network that takes no mask
    ensemble: tuple[SliceScore, ...] = ()  # of the mean of `views` views, if scored
    views: int = 1

    def of_slice(self, dataset: str, name: str) -> dict[str, SliceScore]:
        """The scores of one slice by protocol."""
        return {score.protocol: score for score in self.scores if (score.dataset, score.slice) == (dataset, name)}


@dataclass(frozen=True)
class Missing:
    """A run that is not in the report, and the reason."""

    run: str
    reason: str


def read_results(paths: Paths, runs: Iterable[str]) -> tuple[list[RunResult], list[Missing]]:
    """The results of all runs with an evaluation and a decision, and the missing runs, in the order given.

    Raises a RestorekitError where no run has a result, or where decision and evaluation are of different models.
    """
    log = read_json(paths.promotions / "decisions.json", "log of decisions", _promote(paths))
    decisions = {decision["run"]: decision for decision in log["current"]}
    history: dict[str, list[Past]] = {}
    for past in log["history"]:
        history.setdefault(past["name"], []).append(Past(past["version"], past["decision"], tuple(past["reasons"])))
    results, missing = [], []
    for run in runs:
        reason = not_evaluated(paths, run)
        if reason is None and run not in decisions:
            reason = f"not judged yet: {_promote(paths)}"
        if reason is None:
            results.append(_result(paths, run, decisions[run], history))
        else:
            missing.append(Missing(run, reason))
    if not results:
        raise RestorekitError("nothing to report: " + "; ".join(f"{one.run} is {one.reason}" for one in missing))
    return results, missing


def _promote(paths: Paths) -> str:
    """The remedy where a decision is missing: the stage of the pipeline that the report is of."""
    return f"run `dvc repro {f'pipelines/{paths.pipeline}/dvc.yaml:' if paths.pipeline else ''}promote`"


def leaderboard(results: Iterable[RunResult], missing: Iterable[Missing] = ()) -> dict[str, list[dict[str, Any]]]:
    """The rows of leaderboard.json, for programs: one for each run, test set, slice and protocol.

    `degraded` and `restored` are means over n images; `ci95` is the interval of the mean paired gain. The gain is an
    improvement where it is positive: restored - degraded, or the reverse where `better` is "lower". `alias` is
    "champion", "candidate", or "" for other versions.

    The slice "clean" holds a test set's clean photographs, each once. `degraded` is then the figure of an untouched
    photograph and `better` is "closer": the nearer `restored` is to it, the better. `ci95` is that of the difference.

    `opponents` fill the same holes without learning: each has a row with the run's mean and the interval of its lead
    over the same images.
    """
    results = list(results)
    return {
        "rows": [
            row
            for result in results
            for row in (
                *(_board_row(result, score) for score in result.scores),
                *(_clean_row(result, figure) for figure in result.cleans),
            )
        ],
        "opponents": [{"run": result.run, **one.to_json()} for result in results for one in result.opponents],
        "missing": [{"run": one.run, "reason": one.reason} for one in missing],
    }


def _board_row(result: RunResult, score: SliceScore) -> dict[str, Any]:
    return {
        **_about(result), "dataset": score.dataset, "slice": score.slice, "n": score.n,
        "photographs": score.photographs, "protocol": score.protocol, "better": score.better,
        "degraded": score.degraded, "restored": score.restored, "ci95": list(score.ci95),
    }  # fmt: skip


def _clean_row(result: RunResult, figure: CleanFigure) -> dict[str, Any]:
    untouched = CLEAN_METRICS[figure.name].untouched
    return {
        **_about(result), "dataset": figure.dataset, "slice": CLEAN, "n": figure.n, "photographs": figure.n,
        "protocol": figure.name, "better": "closer", "degraded": untouched, "restored": figure.mean,
        "ci95": [end - untouched for end in figure.ci95],
    }  # fmt: skip


def _about(result: RunResult) -> dict[str, Any]:
    return {
        "run": result.run, "model": result.model, "task": result.task, "version": result.version,
        "alias": result.alias,
    }  # fmt: skip


def _result(paths: Paths, run: str, decision: dict[str, Any], history: dict[str, list[Past]]) -> RunResult:
    folder = paths.evaluation(run)
    evaluation = read_evaluation(folder, run)
    if decision["digest"] != evaluation["digest"]:
        raise RestorekitError(f"the decision about '{run}' is of another model than its evaluation: {_promote(paths)}")
    curves = paths.model(run) / "curves.csv"
    ensemble = evaluation.get("self_ensemble", {"views": 1, "scores": []})
    return RunResult(
        run=run, model=evaluation["model"], task=evaluation["task"], trained_on=evaluation["trained_on"],
        digest=evaluation["digest"], steps=evaluation["steps"], version=decision["version"], alias=decision["alias"],
        name=decision["name"], decision=decision["decision"], reasons=tuple(decision["reasons"]),
        history=tuple(history.get(decision["name"], ())),
        scores=tuple(SliceScore.from_json(score) for score in evaluation["scores"]),
        samples=tuple(Sample(**{**sample, "file": folder / sample["file"]}) for sample in evaluation["samples"]),
        curves=tuple(read_curves(curves)) if curves.is_file() else (),
        opponents=tuple(OpponentScore.from_json(one) for one in evaluation["opponents"]["scores"]),
        opponents_say=evaluation["opponents"]["says"],
        mask_features=tuple(
            Picture(folder / one["file"], one["photograph"], one["caption"]) for one in evaluation["mask_features"]
        ),
        masks=tuple(MaskFigure.from_json(figure) for figure in evaluation["masks"]),
        maps=tuple(
            Picture(folder / one["file"], one["photograph"], _caption(one["panels"])) for one in evaluation["maps"]
        ),
        patches=tuple(evaluation["patches"]),
        cleans=tuple(CleanFigure.from_json(figure) for figure in evaluation["clean"]),
        ensemble=tuple(SliceScore.from_json(score) for score in ensemble["scores"]),
        views=ensemble["views"],
    )  # fmt: skip


def _caption(panels: list[str]) -> str:
    return f"from left to right: {', '.join(panels)}; dark and grey is none, yellow is most"
