"""Decisions live with the versions they are about, each once, in the order in which they were made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.tracking.decisions import KEPT, TAG, DecisionRecord, remember, remembered
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


def test_a_decision_is_kept_once_and_in_order(root: Path, make_model: MakeModel) -> None:
    first = find_or_register(make_model("dmgn-decided", 0), root)
    second = find_or_register(make_model("dmgn-decided", 1), root)
    told = [remember(version, record(version), root) for version in (second, first, first)]
    told.append(remember(second, record(second, "promoted"), root))
    assert [one.number for one in told] == [1, 2, 2, 3]
    assert [(one.version, one.decision) for one in remembered("dmgn-decided", root)] == [
        (2, "rejected"),
        (1, "rejected"),
        (2, "promoted"),
    ]
    shown = open_client(tracking_uri(root)).get_model_version("dmgn-decided", "2")
    assert shown.description == "promoted: first reason; second reason"
    assert shown.tags["decision"] == "promoted"


def test_a_record_comes_back_as_it_was(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-same"), root)
    told = remember(version, record(version, gain=0.1 + 0.2), root)
    assert remembered("dmgn-same", root) == [told]
    assert DecisionRecord.from_json(told.to_json()) == told


def test_the_tag_stays_within_mlflows_limit(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-long"), root)
    long = [replace(record(version, gain=float(n)), reasons=("x" * 250, "y" * 100), number=n) for n in range(KEPT)]
    assert len(str([one.to_json() for one in long])) < 100_000
    for n in range(3):
        remember(version, record(version, gain=float(n)), root)
    assert [one.gain for one in remembered("dmgn-long", root)] == [0.0, 1.0, 2.0]


def test_a_tag_that_was_altered_is_said_plainly(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-altered"), root)
    set_tags(version, {TAG: '[{"run": 1}]'}, root)
    with pytest.raises(RestorekitError, match=f"the tag '{TAG}' of version 1 of 'dmgn-altered' was altered"):
        remembered("dmgn-altered", root)


def test_a_name_without_versions_has_no_decisions(root: Path) -> None:
    assert remembered("dmgn-nothing", root) == []
