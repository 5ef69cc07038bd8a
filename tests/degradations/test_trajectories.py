"""Paths are at rest in the middle of the exposure; a kernel and a warped average along one path agree."""

import cv2
import numpy as np
import pytest

from restorekit.degradations.trajectories import (
    average_along,
    draw_camera,
    draw_exposure,
    draw_kernel,
    kernel_of,
    path_of,
)
from restorekit.rng import rng_for

ALWAYS = {"frames": 1, "shutter": 1.0}


@pytest.mark.parametrize("draw", [draw_camera, draw_kernel])
@pytest.mark.parametrize("seed", range(6))
def test_a_path_is_as_long_as_the_draw_and_passes_through_rest(draw, seed: int) -> None:
    move = {**draw(rng_for(seed, "path"), ALWAYS), "length": 0.2}
    path = path_of(move, 500)
    along = np.hypot(*np.diff(path[:, :2], axis=0).T).sum()
    assert along <= 100 + 1e-6
    assert along > 75  # from the middle of the first step to that of the last, around corners
    assert np.hypot(path[:, 0], path[:, 1]).min() < 2
    assert bool(path[:, 2].any()) == bool(move["roll"])


def test_frames_leave_gaps_between_them() -> None:
    even = {"direction": 0.0, "curvature": 0.0, "jerks": 0.0, "roll": 0.0, "centre": [0.5, 0.5], "seed": 1}
    frames = path_of({**even, "frames": 8, "shutter": 0.5, "length": 0.2}, 400)[:, 0]
    always = path_of({**even, **ALWAYS, "length": 0.2}, 400)[:, 0]
    gaps = np.diff(frames)
    assert (gaps > 0).all()
    assert (gaps > 4).sum() == 7  # 80 pixels in 8 frames, each open for 5 of its 10
    assert np.diff(always).max() < 1
    assert frames.mean() == pytest.approx(always.mean(), abs=1e-9) == pytest.approx(0, abs=1e-9)


def test_jerks_change_the_direction_at_once() -> None:
    turns = []
    for jerks in (0.0, 0.4):
        found = []
        for seed in range(20):
            move = {**draw_kernel(rng_for(seed, "jerk"), ALWAYS), "curvature": 1.0, "jerks": jerks, "length": 0.2}
            step = np.diff(path_of(move, 500)[:, :2], axis=0)
            angle = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
            found.append(np.abs(np.diff(angle)).max())
        turns.append(np.mean(found))
    assert turns[1] > turns[0]


def test_a_kernel_is_the_warped_average_of_its_path() -> None:
    light = cv2.GaussianBlur(rng_for(2, "light").random((80, 90, 4), dtype=np.float32), (0, 0), 2)
    path = path_of({**draw_kernel(rng_for(5), ALWAYS), "length": 0.12}, 80)
    kernel = kernel_of(path)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel >= 0).all()
    by_kernel = average_along(light, path, (40.0, 45.0), cv2.BORDER_REFLECT_101)
    rolled = path.copy()
    rolled[:, 2] = 1e-9  # the same path by warping
    warped = average_along(light, rolled, (40.0, 45.0), cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(by_kernel[15:-15, 15:-15], warped[15:-15, 15:-15], atol=4e-3)


def test_the_exposure_is_at_times_in_frames() -> None:
    drawn = [draw_exposure(rng_for(seed)) for seed in range(100)]
    assert 0.2 < np.mean([one["frames"] > 1 for one in drawn]) < 0.6
    assert all(one["shutter"] == 1 for one in drawn if one["frames"] == 1)
