"""A run's version is held against the champion on the same test images, and what is decided is done and remembered."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from restorekit.config import Params
from restorekit.evaluation.results import ImageScore, paired_gains
from restorekit.evaluation.scoring import restoring, score_pairs
from restorekit.evaluation.slices import gain_interval, num_photographs
from restorekit.evaluation.test_sets import PairSet
from restorekit.tracking.decisions import DecisionRecord, record_decision
from restorekit.tracking.gate import IDENTITY, MEAN_FILL, Evidence, decide
from restorekit.tracking.registry import UnusableVersionError, load_version, set_champion
from restorekit.tracking.versions import CANDIDATE, CHAMPION, RegisteredVersion, find_alias, find_digest


def judge(
    run: str, candidate: RegisteredVersion, rows: Sequence[ImageScore], pairs: PairSet, params: Params, root: Path
) -> DecisionRecord:
    """Decides about `candidate`, whose scores on `pairs` are `rows`; sets the alias and remembers the decision.

    A champion with other weights restores the pairs now. Without one, or where it can never load again, the opponent is
    the identity.
    """
    champion = find_alias(candidate.name, CHAMPION, root)
    same = champion is not None and champion.digest == candidate.digest
    model, notes = (None, ()) if champion is None or same else _load(champion, root)
    others = None if model is None else _scores(model, pairs, params)
    evidence = _evidence(rows, champion, others, params)
    decision = decide(evidence, params.promote.min_gain, candidate.digest, candidate.digest if same else None)
    decision = replace(decision, reasons=(*decision.reasons, *notes))
    record = DecisionRecord(
        number=0, run=run, name=candidate.name, version=candidate.version, digest=candidate.digest,
        champion_before=None if champion is None else champion.version, dataset=pairs.name, test_digest=pairs.digest,
        metric=evidence.metric, min_gain=params.promote.min_gain, opponent=evidence.opponent, gain=evidence.gain,
        ci95=evidence.ci95, n=evidence.n, photographs=evidence.photographs, decision=decision.outcome,
        reasons=decision.reasons,
    )  # fmt: skip
    if not same:
        record = record_decision(candidate, record, root)
    if decision.promoted or (same and CHAMPION not in candidate.aliases):  # the same weights were registered again
        set_champion(candidate, root)
    return record


def alias_of(record: DecisionRecord, root: Path) -> str:
    """The alias that the judged version bears now, the champion's first; "" if it has none."""
    found = find_digest(record.name, record.digest, root)
    aliases = found.aliases if found is not None else ()
    return next((alias for alias in (CHAMPION, CANDIDATE) if alias in aliases), "")


def _load(champion: RegisteredVersion, root: Path) -> tuple[nn.Module | None, tuple[str, ...]]:
    """The champion's network, or None and why; a store that does not answer is an error, and no reason to go on."""
    try:
        return load_version(champion, root)[0], ()
    except UnusableVersionError:
        return None, (f"the champion, version {champion.version}, loads no longer and could not be compared",)


def _scores(model: nn.Module, pairs: PairSet, params: Params) -> list[ImageScore]:
    restore = restoring(model, params.evaluate.precision)
    return [restored.score for restored in score_pairs(pairs, restore, [params.promote.metric])]


def _evidence(
    rows: Sequence[ImageScore], champion: RegisteredVersion | None, others: Sequence[ImageScore] | None, params: Params
) -> Evidence:
    """Over the champion's rows, `others`, or without them over the degraded images, whose holes have a mean colour."""
    nothing = IDENTITY if rows[0].facts.hole_share is None else MEAN_FILL
    gains = paired_gains(rows, params.promote.metric, others)
    return Evidence(
        metric=params.promote.metric,
        opponent=nothing if champion is None or others is None else f"the champion, version {champion.version}",
        gain=float(gains.mean()),
        ci95=gain_interval(gains, rows, params.seed, params.evaluate.resamples),
        n=len(rows),
        photographs=num_photographs(rows),
    )
