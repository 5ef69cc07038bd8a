"""Records the gate's decisions as tags of the registered versions, so that cleaning up files loses none."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from restorekit.errors import RestorekitError
from restorekit.tracking.registry import REMEDY, set_description, set_tags
from restorekit.tracking.versions import RegisteredVersion, versions_of

TAG = "decisions"
MAX_DECISIONS = 80  # kept for a version; an MLflow tag holds at most 100,000 characters


@dataclass(frozen=True)
class DecisionRecord:
    """One decision about one version: the comparison, its outcome and the reasons."""

    number: int  # counts a registered model's decisions from 1; 0 until the decision is recorded
    run: str
    name: str  # of the registered model
    version: int
    digest: str  # of the candidate
    champion_before: int | None
    dataset: str
    test_digest: str  # of the manifest of the test shards
    metric: str
    min_gain: float
    opponent: str
    gain: float
    ci95: tuple[float, float]
    n: int
    photographs: int
    decision: str
    reasons: tuple[str, ...]
    clean_psnr: float | None = None  # of clean photographs against themselves, dB; None where it was not measured
    clean_floor: float | None = None  # the least that was accepted; None where no floor was asked for

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "DecisionRecord":
        low, high = value["ci95"]
        return cls(**{**value, "ci95": (low, high), "reasons": tuple(value["reasons"])})


def record_decision(candidate: RegisteredVersion, record: DecisionRecord, root: Path) -> DecisionRecord:
    """Adds the record to the version's tag and returns it with its number; the reasons become the description.

    A record that equals the version's last one is not added again.
    """
    recorded = recorded_decisions(candidate.name, root)
    own = [known for known in recorded if known.version == candidate.version]
    if own and replace(own[-1], number=0) == replace(record, number=0):
        return own[-1]
    record = replace(record, number=max((known.number for known in recorded), default=0) + 1)
    kept = [known.to_json() for known in [*own, record][-MAX_DECISIONS:]]
    set_tags(candidate, {TAG: json.dumps(kept), "decision": record.decision}, root)
    set_description(candidate, f"{record.decision}: {'; '.join(record.reasons)}", root)
    return record


def recorded_decisions(name: str, root: Path) -> list[DecisionRecord]:
    """All decisions about the versions of a registered model, oldest first."""
    records = [record for version in versions_of(name, root) for record in _decisions_of(version)]
    return sorted(records, key=lambda record: record.number)


def _decisions_of(version: RegisteredVersion) -> list[DecisionRecord]:
    text = version.tags.get(TAG, "[]")
    try:
        return [DecisionRecord.from_json(value) for value in json.loads(text)]
    except (ValueError, KeyError, TypeError) as error:
        raise RestorekitError(
            f"the tag '{TAG}' of version {version.version} of '{version.name}' was altered ({error}): "
            f"delete the tag in MLflow, then {REMEDY}"
        ) from error
