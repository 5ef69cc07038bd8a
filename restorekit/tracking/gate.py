"""Compares a run's version with the champion on the same test images, then applies and records the decision."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import nn

from restorekit.config import Params
from restorekit.evaluation.results import CleanFigure, ImageScore, paired_gains
from restorekit.evaluation.scoring import restoring, score_pairs
from restorekit.evaluation.slices import gain_interval, num_photographs
from restorekit.evaluation.test_sets import PairSet
from restorekit.metrics.clean_metrics import CLEAN_METRICS
from restorekit.metrics.protocols import get_metric
from restorekit.tracking.decisions import DecisionRecord, record_decision
from restorekit.tracking.registry import UnusableVersionError, load_version, set_champion
from restorekit.tracking.versions import CANDIDATE, CHAMPION, RegisteredVersion, find_alias, find_digest

Outcome = Literal["promoted", "rejected", "already champion"]
IDENTITY = "the degraded images themselves"
MEAN_FILL = "the mean fill of the holes"


@dataclass(frozen=True)
class Evidence:
    """The paired gain of a candidate over an opponent on the same test images; positive means better."""

    metric: str
    opponent: str  # in words: IDENTITY, MEAN_FILL, or "version 3"
    gain: float  # mean over the images
    ci95: tuple[float, float]  # of the mean
    n: int  # images
    photographs: int


@dataclass(frozen=True)
class CleanFloor:
    """The figure of clean photographs that a candidate is asked for, and the least value that is accepted."""

    figure: CleanFigure
    floor: float

    @property
    def kept(self) -> bool:
        return self.figure.mean >= self.floor


@dataclass(frozen=True)
class Decision:
    outcome: Outcome
    reasons: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        return self.outcome == "promoted"


def decide(
    evidence: Evidence,
    min_gain: float,
    candidate_digest: str,
    champion_digest: str | None,
    clean: CleanFloor | None = None,
) -> Decision:
    """The decision with its reasons: promoted if the interval of the mean paired gain lies above `min_gain`.

    `min_gain` is in the metric's unit. `champion_digest` is None where there is no champion; the evidence is then
    against the identity. A candidate with the champion's digest is the champion. One image is never enough, because
    its interval has no width. Clean photographs must not fall below the floor of `clean`; None asks for no floor.
    """
    said = () if clean is None else (describe_clean(clean),)
    unit = get_metric(evidence.metric).unit
    bound = f"{min_gain:g} {unit}".strip()
    outcome: Outcome = "rejected"
    if candidate_digest == champion_digest:
        outcome, reason = "already champion", "the candidate is the champion: the same weights and options"
    elif evidence.n < 2:
        reason = f"{evidence.n} test image is too few to decide: raise test.variants"
    elif evidence.ci95[0] > min_gain:
        outcome, reason = "promoted", f"the lower end of the interval is above {bound}"
    elif evidence.gain > min_gain:
        reason = f"the gain may be chance: its interval is not wholly above {bound}"
    else:
        reason = f"the mean gain is not above {bound}"
    if outcome == "promoted" and clean is not None and not clean.kept:
        outcome = "rejected"
    return Decision(outcome, (describe(evidence), reason, *said))


def describe(evidence: Evidence) -> str:
    """One sentence with the gain, its interval, the opponent and the numbers of images and photographs."""
    metric = get_metric(evidence.metric)
    low, high = (f"{value:+.{metric.digits}f}" for value in evidence.ci95)
    value = f"{evidence.gain:+.{metric.digits}f} {metric.unit}".strip()
    images = "image" if evidence.n == 1 else "images"
    photographs = "photograph" if evidence.photographs == 1 else "photographs"
    return (
        f"{evidence.metric} {value} (95% interval {low} to {high}) over {evidence.opponent}, "
        f"on {evidence.n} {images} of {evidence.photographs} {photographs}"
    )


def describe_clean(clean: CleanFloor) -> str:
    """One sentence with the figure of clean photographs, its interval and worst, the floor and its parameter."""
    figure, metric = clean.figure, CLEAN_METRICS[clean.figure.name]
    mean, low, high, worst = (f"{value:.{metric.digits}f}" for value in (figure.mean, *figure.ci95, figure.worst))
    photographs = "1 clean photograph" if figure.n == 1 else f"{figure.n} clean photographs"
    return (
        f"{'' if clean.kept else 'clean photographs are harmed: '}{figure.name} {mean} {metric.unit} (95% interval "
        f"{low} to {high}, worst {worst}) of {photographs} is {'not ' if clean.kept else ''}below {clean.floor:g} "
        f"{metric.unit}, the floor promote.{figure.name}"
    )


def judge(
    run: str,
    candidate: RegisteredVersion,
    rows: Sequence[ImageScore],
    pairs: PairSet,
    params: Params,
    root: Path,
    clean: CleanFigure | None = None,
) -> DecisionRecord:
    """The recorded decision about `candidate`, whose scores on `pairs` are `rows`; moves the alias if promoted.

    A champion with other weights restores the pairs now. Without a champion, or with one that can no longer load, the
    opponent is the identity. `clean` is the candidate's PSNR on the clean photographs of `pairs`, None for a network
    that takes a mask.
    """
    champion = find_alias(candidate.name, CHAMPION, root)
    same = champion is not None and champion.digest == candidate.digest
    model, notes = (None, ()) if champion is None or same else _load(champion, root)
    others = None if model is None else _scores(model, pairs, params)
    evidence = _evidence(rows, champion, others, params)
    floor = params.promote.clean_psnr
    asked = None if clean is None or floor is None else CleanFloor(clean, floor)
    decision = decide(evidence, params.promote.min_gain, candidate.digest, candidate.digest if same else None, asked)
    decision = replace(decision, reasons=(*decision.reasons, *notes))
    record = DecisionRecord(
        number=0, run=run, name=candidate.name, version=candidate.version, digest=candidate.digest,
        champion_before=None if champion is None else champion.version, dataset=pairs.name, test_digest=pairs.digest,
        metric=evidence.metric, min_gain=params.promote.min_gain, opponent=evidence.opponent, gain=evidence.gain,
        ci95=evidence.ci95, n=evidence.n, photographs=evidence.photographs, decision=decision.outcome,
        reasons=decision.reasons, clean_psnr=None if clean is None else clean.mean,
        clean_floor=None if asked is None else asked.floor,
    )  # fmt: skip
    if not same:
        record = record_decision(candidate, record, root)
    if decision.promoted or (same and CHAMPION not in candidate.aliases):  # the same weights were registered again
        set_champion(candidate, root)
    return record


def alias_of(record: DecisionRecord, root: Path) -> str:
    """The current alias of the judged version, `champion` before `candidate`; "" if the version has neither."""
    found = find_digest(record.name, record.digest, root)
    aliases = found.aliases if found is not None else ()
    return next((alias for alias in (CHAMPION, CANDIDATE) if alias in aliases), "")


def _load(champion: RegisteredVersion, root: Path) -> tuple[nn.Module | None, tuple[str, ...]]:
    """The champion's network, or None with the reason; raises where the store does not answer."""
    try:
        return load_version(champion, root)[0], ()
    except UnusableVersionError:
        return None, (f"the champion, version {champion.version}, can no longer load and was not compared",)


def _scores(model: nn.Module, pairs: PairSet, params: Params) -> list[ImageScore]:
    restore = restoring(model, params.evaluate.precision)
    return [restored.score for restored in score_pairs(pairs, restore, [params.promote.metric])]


def _evidence(
    rows: Sequence[ImageScore], champion: RegisteredVersion | None, others: Sequence[ImageScore] | None, params: Params
) -> Evidence:
    """The paired gain over the champion's rows `others`; None compares with the degraded images, holes mean-filled."""
    baseline = IDENTITY if rows[0].facts.hole_share is None else MEAN_FILL
    gains = paired_gains(rows, params.promote.metric, others)
    return Evidence(
        metric=params.promote.metric,
        opponent=baseline if champion is None or others is None else f"the champion, version {champion.version}",
        gain=float(gains.mean()),
        ci95=gain_interval(gains, rows, params.seed, params.evaluate.resamples),
        n=len(rows),
        photographs=num_photographs(rows),
    )
