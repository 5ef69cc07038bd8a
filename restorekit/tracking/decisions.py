"""The gate's decisions, kept in the registry beside the versions they are about: no clean-up of files loses them."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from restorekit.errors import RestorekitError
from restorekit.tracking.registry import REMEDY, set_description, set_tags
from restorekit.tracking.versions import RegisteredVersion, versions_of

TAG = "decisions"
KEPT = 100  # of a version; MLflow takes 100,000 characters in a tag


@dataclass(frozen=True)
class DecisionRecord:
    """One decision about one version: what was compared, what came out, and why."""

    number: int  # counts the decisions about a registered model, from 1; 0 for one that is not remembered
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

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "DecisionRecord":
        low, high = value["ci95"]
        return cls(**{**value, "ci95": (low, high), "reasons": tuple(value["reasons"])})


def remember(candidate: RegisteredVersion, record: DecisionRecord, root: Path) -> DecisionRecord:
    """Keeps the record as a tag of the version, with the number it gets there, and its reasons as the description.

    The last decision about a version made again in the same words is the same decision and is kept once.
    """
    everything = remembered(candidate.name, root)
    own = [known for known in everything if known.version == candidate.version]
    if own and replace(own[-1], number=0) == replace(record, number=0):
        return own[-1]
    record = replace(record, number=max((known.number for known in everything), default=0) + 1)
    kept = [known.to_json() for known in [*own, record][-KEPT:]]
    set_tags(candidate, {TAG: json.dumps(kept), "decision": record.decision}, root)
    set_description(candidate, f"{record.decision}: {'; '.join(record.reasons)}", root)
    return record


def remembered(name: str, root: Path) -> list[DecisionRecord]:
    """All decisions about the versions of a registered model, in the order in which they were made."""
    records = [record for version in versions_of(name, root) for record in _of(version)]
    return sorted(records, key=lambda record: record.number)


def _of(version: RegisteredVersion) -> list[DecisionRecord]:
    text = version.tags.get(TAG, "[]")
    try:
        return [DecisionRecord.from_json(value) for value in json.loads(text)]
    except (ValueError, KeyError, TypeError) as error:
        raise RestorekitError(
            f"the tag '{TAG}' of version {version.version} of '{version.name}' was altered ({error}): "
            f"delete the tag in MLflow, then {REMEDY}"
        ) from error
