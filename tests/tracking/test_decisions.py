"""The registry records each decision once, with its version, and lists decisions in order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.tracking.decisions import MAX_DECISIONS, TAG, DecisionRecord, record_decision, recorded_decisions
from restorekit.tracking.registry import find_or_register, set_tags
from restorekit.tracking.store import open_client, tracking_uri
from restorekit.tracking.versions import RegisteredVersion

MakeModel = Callable[..., Path]


def record(version: RegisteredVersion, decision: str = "rejected", gain: float = 1.0) -> DecisionRecord:
    return DecisionRecord(
        number=0, run=version.name, name=version.name, version=version.version, digest=version.digest,
        champion_before=None, dataset="synthetic-test", test_digest="t", metric="psnr_rgb", min_gain=0.0,
        opponent="the degraded images themselves", gain=gain, ci95=(0.5, 1.5), n=6, photographs=2, decision=decision,
        reasons=("first reason", "second reason"),
    )  # fmt: skip


def test_decisions_are_recorded_once_and_in_order(root: Path, make_model: MakeModel) -> None:
    first = find_or_register(make_model("dmgn-decided", 0), root)
    second = find_or_register(make_model("dmgn-decided", 1), root)
    records = [record_decision(version, record(version), root) for version in (second, first, first)]
    records.append(record_decision(second, record(second, "promoted"), root))
    assert [one.number for one in records] == [1, 2, 2, 3]
    assert [(one.version, one.decision) for one in recorded_decisions("dmgn-decided", root)] == [
        (2, "rejected"),
        (1, "rejected"),
        (2, "promoted"),
    ]
    shown = open_client(tracking_uri(root)).get_model_version("dmgn-decided", "2")
    assert shown.description == "promoted: first reason; second reason"
    assert shown.tags["decision"] == "promoted"


def test_a_record_survives_the_round_trip(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-same"), root)
    recorded = record_decision(version, record(version, gain=0.1 + 0.2), root)
    assert recorded_decisions("dmgn-same", root) == [recorded]
    assert DecisionRecord.from_json(recorded.to_json()) == recorded


def test_the_tag_stays_within_mlflows_limit(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-long"), root)
    reasons = ("x" * 250, "y" * 100, "z" * 180)
    wide = replace(record(version, gain=1 / 3), reasons=reasons, digest="d" * 64, test_digest="t" * 64)
    long = [replace(wide, number=n, clean_psnr=100 / 3, clean_floor=25.0) for n in range(MAX_DECISIONS)]
    assert len(str([one.to_json() for one in long])) < 100_000
    for n in range(3):
        record_decision(version, record(version, gain=float(n)), root)
    assert [one.gain for one in recorded_decisions("dmgn-long", root)] == [0.0, 1.0, 2.0]


def test_an_altered_tag_raises_a_clear_error(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-altered"), root)
    set_tags(version, {TAG: '[{"run": 1}]'}, root)
    with pytest.raises(RestorekitError, match=f"the tag '{TAG}' of version 1 of 'dmgn-altered' was altered"):
        recorded_decisions("dmgn-altered", root)


def test_a_name_without_versions_has_no_decisions(root: Path) -> None:
    assert recorded_decisions("dmgn-nothing", root) == []
