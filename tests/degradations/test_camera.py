"""The camera changes input and target alike in tone, and the input alone in noise, clipping, sharpening and JPEG."""

import json
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restorekit.degradations import Degraded, Scene
from restorekit.degradations.camera import QUALITY, draw_camera, photographed
from restorekit.rng import rng_for

MakeScene = Callable[..., Scene]
NEUTRAL = {"gains": [1.0, 1.0, 1.0], "contrast": 0.0, "noise": None, "sharpening": None, "jpeg": None}
NOISE = {"shot": 1e-3, "read": 1e-5, "blur": 0.0, "seed": 4}


def even(value: float, size: tuple[int, int] = (300, 400)) -> Degraded:
    image = np.full((*size, 3), value, np.float32)
    return Degraded(image, image.copy(), np.zeros_like(image), np.zeros(size, np.float32), None)


def pair(make_scene: MakeScene, size: tuple[int, int] = (128, 160)) -> Degraded:
    image, other = make_scene(size).image, make_scene(size, "rocket").image
    change = 0.3 * other
    return Degraded(image + change, image, change, np.ones(size, np.float32), None)


def test_a_record_rebuilds_the_pair_bit_for_bit_at_any_size(make_scene: MakeScene) -> None:
    for seed, size in enumerate([(128, 160), (33, 47), (1, 1), (5, 300)] * 4):
        camera = draw_camera(rng_for(seed))
        again = json.loads(json.dumps(camera, allow_nan=False))
        assert again == camera
        one, two = (photographed(pair(make_scene, size), record) for record in (camera, again))
        for name in ("degraded", "clean", "noise_layer"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
            assert getattr(one, name).shape == (*size, 3)
            assert getattr(one, name).dtype == np.float32
        for image in (one.degraded, one.clean):
            assert 0.0 <= image.min() <= image.max() <= 1.0


def test_the_inputs_are_not_changed(make_scene: MakeScene) -> None:
    made = pair(make_scene)
    before = [made.degraded.copy(), made.clean.copy(), made.noise_layer.copy()]
    for image in (made.degraded, made.clean, made.noise_layer):
        image.setflags(write=False)
    for seed in range(8):
        photographed(made, draw_camera(rng_for(seed)))
    for image, old in zip((made.degraded, made.clean, made.noise_layer), before, strict=True):
        np.testing.assert_array_equal(image, old)


def test_a_neutral_camera_only_clips_and_rounds_the_input(make_scene: MakeScene) -> None:
    made = pair(make_scene)
    taken = photographed(made, NEUTRAL)
    np.testing.assert_array_equal(taken.clean, made.clean)
    np.testing.assert_allclose(taken.degraded, np.clip(made.degraded, 0.0, 1.0), atol=0.5 / 255 + 1e-6)


def test_the_target_has_the_tones_and_neither_noise_nor_jpeg(make_scene: MakeScene) -> None:
    made = pair(make_scene)
    same = Degraded(made.clean, made.clean, None, None, None)
    tones = {**NEUTRAL, "gains": [0.7, 0.8, 0.9], "contrast": 0.3}
    plain = photographed(same, tones)
    np.testing.assert_allclose(plain.degraded, plain.clean, atol=0.5 / 255 + 1e-6)
    assert plain.clean.mean() < made.clean.mean() - 0.02
    parts = {"noise": NOISE, "sharpening": {"amount": 0.5, "radius": 1.0}, "jpeg": {"quality": 50, "sampling": "420"}}
    damaged = photographed(same, {**tones, **parts})
    np.testing.assert_array_equal(damaged.clean, plain.clean)
    assert np.abs(damaged.degraded - plain.degraded).mean() > 0.01


@pytest.mark.parametrize("blur", [0.0, 0.8])
def test_noise_has_the_variance_of_the_record_in_light(blur: float) -> None:
    for root in (0.3, 0.6):
        taken = photographed(even(root), {**NEUTRAL, "noise": {**NOISE, "blur": blur}}).degraded
        light = np.square(taken, dtype=np.float64)
        assert light.mean() == pytest.approx(root**2, rel=0.02)
        # Rounding to 8 bits adds a variance of (2 root / 255)^2 / 12.
        expected = NOISE["read"] + NOISE["shot"] * root**2 + (2 * root / 255) ** 2 / 12
        assert light.var() == pytest.approx(expected, rel=0.08)


def test_sharpening_raises_fine_detail_and_jpeg_leaves_blocks(make_scene: MakeScene) -> None:
    image = make_scene((256, 256)).image
    made = Degraded(image, image, None, None, None)

    def detail(image: np.ndarray) -> float:
        return float(np.square(cv2.Laplacian(image, cv2.CV_32F)).sum())

    sharpened = photographed(made, {**NEUTRAL, "sharpening": {"amount": 0.8, "radius": 1.0}}).degraded
    assert detail(sharpened) > 1.5 * detail(image)
    compressed = photographed(made, {**NEUTRAL, "jpeg": {"quality": QUALITY[0], "sampling": "420"}}).degraded
    steps = np.abs(np.diff(compressed.mean(axis=2), axis=1)).mean(axis=0) / (
        1e-6 + np.abs(np.diff(image.mean(axis=2), axis=1)).mean(axis=0)
    )
    at_blocks = steps[7::8].mean()
    assert at_blocks > 1.2 * np.delete(steps, np.s_[7::8]).mean()


def test_every_part_is_in_some_records_and_not_in_others() -> None:
    records = [draw_camera(rng_for(seed)) for seed in range(100)]
    for part in ("noise", "sharpening", "jpeg"):
        assert 0.3 < np.mean([record[part] is not None for record in records]) < 0.9
    qualities = [record["jpeg"]["quality"] for record in records if record["jpeg"]]
    assert min(qualities) < 50
    assert max(qualities) > 90
