"""All that the report shows, read from the outputs of the stages before it and checked to belong together."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restorekit.distributed.figures import read_curves
from restorekit.errors import RestorekitError
from restorekit.evaluation.results import MaskFigure, OpponentScore, SliceScore, read_evaluation
from restorekit.files import read_json
from restorekit.paths import Paths

EVALUATE = "run `dvc repro evaluate`"
PROMOTE = "run `dvc repro promote`"


@dataclass(frozen=True)
class Sample:
    """A picture of three panels of `width` x `height` pixels with gutters between them; of two where none is clean."""

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
    restored: dict[str, float]


@dataclass(frozen=True)
class MapStrip:
    """A picture of several panels side by side, named from left to right: a degraded image, and maps over it."""

    file: Path
    dataset: str
    key: str
    photograph: str
    panels: tuple[str, ...]


@dataclass(frozen=True)
class FeatureStrip:
    """A picture of a network's inner maps of a photograph's mask."""

    file: Path
    caption: str
    photograph: str


@dataclass(frozen=True)
class Past:
    """A decision of the gate, now or earlier."""

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
    alias: str  # "" for a version that bears none
    name: str  # of the registered model
    decision: str
    reasons: tuple[str, ...]
    history: tuple[Past, ...]  # of all decisions about the registered model, oldest first
    scores: tuple[SliceScore, ...]
    samples: tuple[Sample, ...]
    opponents: tuple[OpponentScore, ...]  # where there are any
    opponents_say: dict[str, str]  # what each opponent is, by its name
    mask_features: tuple[FeatureStrip, ...]
    curves: tuple[tuple[int, str, float], ...]  # step, name, value
    masks: tuple[MaskFigure, ...] = ()  # of a network that localises
    maps: tuple[MapStrip, ...] = ()
    patches: tuple[dict[str, Any], ...] = ()  # of a network of several paths: `path_means` of each test set
    ensemble: tuple[SliceScore, ...] = ()  # of the mean of `views` views, where it was asked for
    views: int = 1

    def of_slice(self, dataset: str, name: str) -> dict[str, SliceScore]:
        """The scores of one slice by protocol."""
        return {score.protocol: score for score in self.scores if (score.dataset, score.slice) == (dataset, name)}


def read_results(paths: Paths, runs: Iterable[str]) -> list[RunResult]:
    """The results of the runs, in the order given."""
    log = read_json(paths.promotions / "decisions.json", "log of decisions", PROMOTE)
    decisions = {decision["run"]: decision for decision in log["current"]}
    history: dict[str, list[Past]] = {}
    for past in log["history"]:
        history.setdefault(past["name"], []).append(Past(past["version"], past["decision"], tuple(past["reasons"])))
    return [_result(paths, run, decisions, history) for run in runs]


def _result(paths: Paths, run: str, decisions: dict[str, Any], history: dict[str, list[Past]]) -> RunResult:
    folder = paths.evaluation(run)
    evaluation = read_evaluation(folder, run, EVALUATE)
    if run not in decisions:
        raise RestorekitError(f"there is no decision about '{run}' yet: {PROMOTE}")
    decision = decisions[run]
    if decision["digest"] != evaluation["digest"]:
        raise RestorekitError(f"the decision about '{run}' is of another model than its evaluation: {PROMOTE}")
    curves = paths.model(run) / "curves.csv"
    ensemble = evaluation.get("self_ensemble", {"views": 1, "scores": []})
    return RunResult(
        run=run, model=evaluation["model"], task=evaluation["task"], trained_on=evaluation["trained_on"],
        digest=evaluation["digest"], steps=evaluation["steps"], version=decision["version"], alias=decision["alias"],
        name=decision["name"], decision=decision["decision"], reasons=tuple(decision["reasons"]),
        history=tuple(history.get(decision["name"], ())),
        scores=tuple(SliceScore.from_json(score) for score in evaluation["scores"]),
        samples=tuple(Sample(**{**sample, "file": folder / sample["file"]}) for sample in evaluation["samples"]),
        opponents=tuple(OpponentScore.from_json(one) for one in evaluation["opponents"]["scores"]),
        opponents_say=evaluation["opponents"]["says"],
        mask_features=tuple(
            FeatureStrip(**{**one, "file": folder / one["file"]}) for one in evaluation["mask_features"]
        ),
        curves=tuple(read_curves(curves)) if curves.is_file() else (),
        masks=tuple(MaskFigure.from_json(figure) for figure in evaluation["masks"]),
        maps=tuple(
            MapStrip(**{**strip, "file": folder / strip["file"], "panels": tuple(strip["panels"])})
            for strip in evaluation["maps"]
        ),
        patches=tuple(evaluation["patches"]),
        ensemble=tuple(SliceScore.from_json(score) for score in ensemble["scores"]),
        views=ensemble["views"],
    )  # fmt: skip
