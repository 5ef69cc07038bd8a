"""Shifts between the photographs of a pair are found under a degradation, at any size, and told by name."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from skimage import data

from restorekit.degradations import Scene, get_degradation
from restorekit.image import to_float, to_uint8
from restorekit.rng import rng_for
from restorekit.sources.alignment import CHECKED, Loaded, shift_note, shift_of

PHOTOGRAPHS = {name: getattr(data, name)()[..., :3] for name in ("astronaut", "chelsea", "coffee", "rocket")}


def degraded(task: str, image: np.ndarray, seed: int) -> np.ndarray:
    degradation = get_degradation(task)
    params = degradation.sample(rng_for(seed, task), image.shape[:2], 0.5, "mixed")
    return to_uint8(degradation.apply(Scene(to_float(image)), params).degraded)


@pytest.mark.parametrize("task", ["rain", "haze", "raindrop"])
@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (-3, 4), (0, 5)])
def test_a_shift_is_found_under_a_degradation(task: str, shift: tuple[int, int]) -> None:
    for seed, image in enumerate(PHOTOGRAPHS.values()):
        down, right = shift
        height, width = image.shape[0] - 8, image.shape[1] - 8
        moved = image[4 + down : 4 + down + height, 4 + right : 4 + right + width]
        found = shift_of(degraded(task, np.ascontiguousarray(moved), seed), image[4 : 4 + height, 4 : 4 + width])
        assert found == pytest.approx(np.hypot(*shift), abs=0.35)


@pytest.mark.parametrize("size", [(225, 375), (243, 405), (101, 77), (300, 451)])
def test_sides_that_opencv_would_pad_to_odd_lengths_have_no_bias(size: tuple[int, int]) -> None:
    image = cv2.resize(PHOTOGRAPHS["coffee"], (size[1] + 2, size[0]), interpolation=cv2.INTER_AREA)
    assert shift_of(image[:, 2:], image[:, 2:]) == pytest.approx(0, abs=0.01)
    assert shift_of(image[:, 2:], image[:, :-2]) == pytest.approx(2, abs=0.15)


def test_4k_is_compared_at_a_smaller_size_in_its_own_pixels() -> None:
    image = cv2.resize(PHOTOGRAPHS["astronaut"], (3848, 2160), interpolation=cv2.INTER_CUBIC)
    assert shift_of(image[:, 8:], image[:, :-8]) == pytest.approx(8, abs=0.4)
    assert shift_of(image[:, 8:], image[:, 8:]) == pytest.approx(0, abs=0.05)


def test_photographs_that_do_not_tell_give_none() -> None:
    flat = np.full((64, 80, 3), 90, np.uint8)
    noise = [rng_for(1, name).integers(0, 256, (200, 300, 3)).astype(np.uint8) for name in "ab"]
    assert shift_of(flat, flat) is None
    assert shift_of(noise[0][:12], noise[0][:12]) is None
    assert shift_of(*noise) is None


def test_a_note_names_the_shifted_pairs_and_the_largest_first() -> None:
    image = PHOTOGRAPHS["coffee"]
    shifts = {"a": 0, "b": 3, "c": 1, "d": 6}

    def load(number: int) -> Iterator[Loaded]:
        name, shift = list(shifts.items())[number]
        yield name, image[:, shift : shift + 500], image[:, :500]

    note = shift_note("real.evaluate.x", len(shifts), load)
    assert note is not None
    assert note.startswith(
        "real.evaluate.x: 2 of 4 pairs looked at are shifted by more than a pixel: d by 6.0, b by 3.0;"
    )
    assert shift_note("x", 1, load) is None
    assert shift_note("x", 3, lambda number: ()) is None


def test_only_some_pairs_of_a_large_set_are_read() -> None:
    asked = []

    def load(number: int) -> Iterator[Loaded]:
        asked.append(number)
        yield str(number), PHOTOGRAPHS["chelsea"][:64, :64], PHOTOGRAPHS["chelsea"][:64, :64]

    assert shift_note("x", 10_000, load) is None
    assert len(asked) == len(set(asked)) == CHECKED
    assert max(asked) > 9_000
