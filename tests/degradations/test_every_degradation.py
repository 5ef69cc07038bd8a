"""Properties of every degradation in the table and of each of its kinds."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from restorekit.degradations import DEGRADATIONS, Degraded, Scene, get_degradation
from restorekit.errors import RestorekitError
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
KINDS = {task: sys.modules[type(degradation).__module__].KINDS for task, degradation in DEGRADATIONS.items()}
CASES = [(task, kind) for task in DEGRADATIONS for kind in (*KINDS[task], "mixed")]
every_case = pytest.mark.parametrize("task, kind", CASES)
every_task = pytest.mark.parametrize("task", DEGRADATIONS)


def draw(task: str, kind: str, size: tuple[int, int], severity: float = 0.6, seed: int = 1) -> dict:
    return DEGRADATIONS[task].sample(rng_for(seed, task), size, severity, kind)


def make(task: str, kind: str, scene: Scene, severity: float = 0.6, seed: int = 1) -> Degraded:
    return DEGRADATIONS[task].apply(scene, draw(task, kind, scene.image.shape[:2], severity, seed))


def assert_same(one: Degraded, two: Degraded) -> None:
    for field in fields(Degraded):
        a, b = getattr(one, field.name), getattr(two, field.name)
        assert (a is None) == (b is None), field.name
        if a is not None:
            np.testing.assert_array_equal(a, b, err_msg=field.name)


def psnr(degraded: Degraded) -> float:
    error = np.clip(degraded.degraded, 0, 1) - degraded.clean
    return float(-10 * np.log10(np.mean(error.astype(np.float64) ** 2)))


@every_case
def test_record_rebuilds_the_sample_bit_for_bit(task: str, kind: str, make_scene: MakeScene) -> None:
    scene = make_scene()
    params = draw(task, kind, (128, 160))
    again = json.loads(json.dumps(params, allow_nan=False))
    assert again == params
    assert_same(DEGRADATIONS[task].apply(scene, params), DEGRADATIONS[task].apply(scene, again))


@every_case
def test_the_seed_decides_the_record_and_the_picture(task: str, kind: str, make_scene: MakeScene) -> None:
    assert draw(task, kind, (128, 160)) == draw(task, kind, (128, 160))
    one, two = (make(task, kind, make_scene(), seed=seed) for seed in (1, 2))
    assert np.abs(one.degraded - two.degraded).max() > 0.02


@every_case
def test_the_inputs_are_not_changed(task: str, kind: str, make_scene: MakeScene) -> None:
    scene = replace(make_scene(), disparity=rng_for(0, "d").random((128, 160), np.float32))
    before = [array.copy() for array in (scene.image, scene.disparity, scene.other)]
    params = draw(task, kind, (128, 160))
    text = json.dumps(params)
    for array in (scene.image, scene.disparity, scene.other):
        array.setflags(write=False)
    DEGRADATIONS[task].apply(scene, params)
    assert json.dumps(params) == text
    for array, old in zip((scene.image, scene.disparity, scene.other), before, strict=True):
        np.testing.assert_array_equal(array, old)


@every_case
@pytest.mark.parametrize("size", [(37, 31), (31, 37), (5, 64), (1, 1)])
def test_any_size(task: str, kind: str, size: tuple[int, int], make_scene: MakeScene) -> None:
    scene = make_scene(size)
    result = make(task, kind, scene)
    assert result.clean is scene.image
    for image in (result.degraded, result.noise_layer):
        if image is not None:
            assert image.shape == (*size, 3)
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
    assert result.mask is not None
    assert result.mask.shape == size
    assert result.mask.dtype == np.float32
    assert set(np.unique(result.mask)) <= {0.0, 1.0}


@every_case
def test_severity_is_monotone_for_one_seed(task: str, kind: str, make_scene: MakeScene) -> None:
    for seed, name in enumerate(("chelsea", "astronaut", "rocket")):
        scene = make_scene((96, 128), name)
        values = [psnr(make(task, kind, scene, severity, seed)) for severity in (0.1, 0.3, 0.5, 0.7, 0.9)]
        assert all(later < earlier + 1e-6 for earlier, later in pairwise(values)), values
        assert values[-1] < values[0] - 1


@every_case
def test_the_result_does_not_depend_on_the_number_of_threads(task: str, kind: str, make_scene: MakeScene) -> None:
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(0)
        one = make(task, kind, make_scene((300, 400)))
        cv2.setNumThreads(4)
        assert_same(one, make(task, kind, make_scene((300, 400))))
    finally:
        cv2.setNumThreads(threads)


@every_case
def test_the_scene_is_the_same_at_every_resolution(task: str, kind: str, make_scene: MakeScene) -> None:
    small, other = (make_scene((256, 384), name).image for name in ("chelsea", "coffee"))
    large = np.repeat(np.repeat(small, 3, axis=0), 3, axis=1)
    made = [make(task, kind, Scene(image, other=other)) for image in (large, small)]
    assert abs(psnr(made[0]) - psnr(made[1])) < 0.7
    shrunk = cv2.resize(made[0].degraded, (384, 256), interpolation=cv2.INTER_AREA)
    changed = np.abs(made[1].degraded - small).mean()
    assert np.abs(shrunk - made[1].degraded).mean() < 0.12 * changed


@every_task
def test_mixed_draws_every_kind(task: str) -> None:
    assert {draw(task, "mixed", (64, 64), seed=seed)["kind"] for seed in range(40)} == set(KINDS[task])


@every_task
def test_impossible_requests_are_explained(task: str, make_scene: MakeScene) -> None:
    degradation = get_degradation(task)
    rng = rng_for(0)
    with pytest.raises(RestorekitError, match="severity"):
        degradation.sample(rng, (64, 64), 1.5, "mixed")
    with pytest.raises(RestorekitError, match="unknown kind"):
        degradation.sample(rng, (64, 64), 0.5, "mixxed")
    with pytest.raises(RestorekitError, match="at least 1 x 1"):
        degradation.sample(rng, (0, 64), 0.5, "mixed")
    with pytest.raises(RestorekitError, match="64 x 64"):
        degradation.apply(make_scene((64, 65)), draw(task, "mixed", (64, 64)))
    with pytest.raises(RestorekitError, match="float32"):
        degradation.apply(Scene(np.zeros((64, 64, 3), np.uint8)), draw(task, "mixed", (64, 64)))


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(RestorekitError, match="did you mean 'reflection'"):
        get_degradation("reflexion")


def test_table_is_consistent() -> None:
    assert all(name == degradation.name for name, degradation in DEGRADATIONS.items())
    assert [name for name, degradation in DEGRADATIONS.items() if degradation.needs_other] == ["reflection"]
