"""Whether a candidate becomes champion: a pure decision from paired gains, with its reasons in plain words."""

from dataclasses import dataclass
from typing import Literal

from restorekit.metrics.protocols import get_metric

Outcome = Literal["promoted", "rejected", "already champion"]
IDENTITY = "the degraded images themselves"
MEAN_FILL = "the mean fill of the holes"


@dataclass(frozen=True)
class Evidence:
    """The paired gain of a candidate over an opponent on the same test images; positive is better."""

    metric: str
    opponent: str  # in words: IDENTITY, MEAN_FILL, or "version 3"
    gain: float  # mean over the images
    ci95: tuple[float, float]  # of that mean
    n: int  # images
    photographs: int


@dataclass(frozen=True)
class Decision:
    outcome: Outcome
    reasons: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        return self.outcome == "promoted"


def decide(evidence: Evidence, min_gain: float, candidate_digest: str, champion_digest: str | None) -> Decision:
    """Promotes if the lower end of the interval of the mean paired gain is above `min_gain`, in the metric's unit.

    `champion_digest` is None where nothing was promoted before; the evidence is then against the identity. A candidate
    with the champion's digest is the champion. A single image is never enough, for its interval has no width.
    """
    measured = describe(evidence)
    if candidate_digest == champion_digest:
        return Decision("already champion", (measured, "the candidate is the champion: the same weights and options"))
    if evidence.n < 2:
        return Decision("rejected", (measured, f"{evidence.n} test image is too few to decide: raise test.variants"))
    unit = get_metric(evidence.metric).unit
    bound = f"{min_gain:g} {unit}".strip()
    if evidence.ci95[0] > min_gain:
        return Decision("promoted", (measured, f"the lower end of the interval is above {bound}"))
    if evidence.gain > min_gain:
        return Decision("rejected", (measured, f"the gain may be chance: its interval is not wholly above {bound}"))
    return Decision("rejected", (measured, f"the mean gain is not above {bound}"))


def describe(evidence: Evidence) -> str:
    """One sentence with the gain, its interval and what it rests on."""
    metric = get_metric(evidence.metric)
    low, high = (f"{value:+.{metric.digits}f}" for value in evidence.ci95)
    value = f"{evidence.gain:+.{metric.digits}f} {metric.unit}".strip()
    images = "image" if evidence.n == 1 else "images"
    photographs = "photograph" if evidence.photographs == 1 else "photographs"
    return (
        f"{evidence.metric} {value} (95% interval {low} to {high}) over {evidence.opponent}, "
        f"on {evidence.n} {images} of {evidence.photographs} {photographs}"
    )
