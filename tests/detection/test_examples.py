"""Examples: twins differ in the degradation alone, and faint or unseen degradations count for less."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from restorekit.degradations.camera import draw_camera
from restorekit.detection.examples import Change, labels_of, twins
from restorekit.files import canonical_json
from restorekit.rng import rng_for
from restorekit.shards.reader import ShardSample
from restorekit.tasks import DETECTED
from tests.detection.conftest import degraded, scene

FAINT = (0.05, 0.3)
RECORD = {"task": "rain", "severity": 0.6, "clean": False, "camera": None, "params": {"kind": "mixed"}}


def sample(task: str = "rain", **record: Any) -> ShardSample:
    text = canonical_json({**RECORD, "task": task, **record}).encode()
    return ShardSample("a", degraded("haze" if task == "haze" else "rain", 1), scene(1), None, None, None, text)


def test_what_is_looked_for_is_every_task_but_holes_and_mixtures() -> None:
    assert DETECTED == ("reflection", "rain", "haze", "raindrop", "motion_blur")


@pytest.mark.parametrize(
    "record, labels",
    [
        ({}, ("rain",)),
        ({"clean": True}, ()),
        ({"task": "haze"}, ("haze",)),
        ({"task": "mixed", "params": {"kind": "haze+rain+raindrop"}}, ("rain", "haze", "raindrop")),
        ({"task": "inpainting", "params": {"kind": "blobs"}}, ()),
    ],
)
def test_labels_come_from_the_record(record: dict[str, Any], labels: tuple[str, ...]) -> None:
    assert labels_of({**RECORD, **record}) == labels


def test_twins_of_a_clean_sample_are_equal_and_negative() -> None:
    clean = replace(sample(clean=True), degraded=scene(1))
    for number in range(5):
        first, second = twins(clean, rng_for(0, number), 64, FAINT)
        assert np.array_equal(first.image, second.image)
        assert not first.targets.any()
        assert not second.targets.any()
        assert first.weights.min() == second.weights.min() == 1.0


def test_a_camera_leaves_the_same_traces_on_both_twins() -> None:
    camera = draw_camera(rng_for(3))
    camera |= {"gains": [1.0, 1.0, 1.0], "contrast": 0.0, "jpeg": {"quality": 40, "sampling": "420"}}
    same = replace(sample(clean=True, camera=camera), degraded=scene(1))
    taken = twins(same, rng_for(0, 1), 64, FAINT)[1].image
    plain = twins(replace(same, record_json=sample(clean=True).record_json), rng_for(0, 1), 64, FAINT)[1].image
    assert not np.array_equal(taken, plain)


def test_a_degraded_twin_is_positive_for_its_task_alone() -> None:
    first, second = twins(sample(), rng_for(0, 1), 64, FAINT)
    assert first.image.shape == second.image.shape == (64, 64, 3)
    assert dict(zip(DETECTED, first.targets, strict=True)) == {name: float(name == "rain") for name in DETECTED}
    assert first.weights.tolist() == [1.0] * 5
    assert second.targets.sum() == 0
    assert not np.array_equal(first.image, second.image)


@pytest.mark.parametrize("severity, weight", [(0.05, 0.0), (0.175, 0.5), (0.3, 1.0), (0.9, 1.0)])
def test_a_faint_degradation_counts_for_less_and_only_its_own_label(severity: float, weight: float) -> None:
    first, second = twins(sample(severity=severity), rng_for(0, 1), 64, FAINT)
    assert first.weights[DETECTED.index("rain")] == pytest.approx(weight)
    assert sorted(first.weights)[1:] == [1.0] * 4
    assert second.weights.min() == 1.0


def test_a_crop_that_shows_nothing_counts_for_nothing() -> None:
    unseen = replace(sample(), degraded=scene(1))
    assert twins(unseen, rng_for(0, 1), 64, FAINT)[0].weights[DETECTED.index("rain")] == 0.0


def test_the_veil_of_heavy_rain_counts_neither_for_nor_against_haze() -> None:
    veiled = sample(params={"kind": "heavy", "veil": 0.4})
    assert twins(veiled, rng_for(0, 1), 64, FAINT)[0].weights.tolist() == [1.0, 1.0, 0.0, 1.0, 1.0]


def test_a_change_is_the_same_for_both_and_another_for_each_draw() -> None:
    changes = [Change.drawn(rng_for(1, number)) for number in range(20)]
    for change in changes:
        made = change.applied(scene(2))
        assert made.dtype == np.uint8
        assert made.shape == scene(2).shape
        assert np.array_equal(made, change.applied(scene(2)))
    assert len({change.applied(scene(2)).tobytes() for change in changes}) == 20
    assert {bool(change.noise) for change in changes} == {change.quality is None for change in changes} == {True, False}
