"""Holes filled from windows around them."""

import numpy as np
import pytest

from restorekit.inference import Restorer
from restorekit.restoring.windows import CONTEXT, fill_holes, windows_around
from restorekit.rng import rng_for


def holes(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((height, width), np.float32)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def test_holes_far_apart_have_windows_of_their_own_with_context() -> None:
    mask = holes(700, 1000, (10, 20, 15, 30), (403, 450, 701, 800))
    assert windows_around(mask, 4) == [
        (slice(0, 20 + CONTEXT), slice(0, 160)),
        (slice(272, 580), slice(572, 928)),
    ]


def test_a_long_hole_has_half_its_length_as_context() -> None:
    (window,) = windows_around(holes(1000, 1000, (300, 700, 500, 510)))
    assert window == (slice(100, 900), slice(300, 710))


@pytest.mark.parametrize("seed", range(3))
def test_windows_are_disjoint_and_hold_every_hole_with_its_context(seed: int) -> None:
    rng = rng_for(seed, "holes")
    boxes = [
        (int(top), int(top + side), int(left), int(left + side))
        for top, left, side in zip(*rng.integers(0, 1250, (2, 4)), rng.integers(1, 50, 4), strict=True)
    ]
    mask = holes(1300, 1300, *boxes)
    times = np.zeros(mask.shape, np.uint8)
    for window in windows_around(mask, 8):
        times[window] += 1
    assert times.max() == 1
    for top, bottom, left, right in boxes:
        around = times[max(0, top - CONTEXT) : bottom + CONTEXT, max(0, left - CONTEXT) : right + CONTEXT]
        assert (around == 1).all()


def test_a_large_photo_is_never_passed_whole_and_nothing_outside_changes(filler: Restorer) -> None:
    image = rng_for(1, "image").random((801, 1003, 3), dtype=np.float32) / 2
    mask = holes(801, 1003, (200, 230, 100, 150), (700, 701, 900, 901))
    tiles: list[tuple[int, int]] = []
    filled = fill_holes(filler, image, mask, lambda *counts: tiles.append(counts))
    assert np.array_equal(filled[mask == 0], image[mask == 0])
    np.testing.assert_allclose(filled[mask == 1], image[mask == 1] + 0.25, atol=1e-6)
    assert len(filler.model.seen) == 2  # type: ignore[arg-type]
    assert max(side for size in filler.model.seen for side in size) < 400  # type: ignore[union-attr]
    assert tiles == [(1, 2), (2, 2)]


def test_a_small_photo_is_filled_in_one_piece(filler: Restorer) -> None:
    image, mask = np.full((64, 80, 3), 0.5, np.float32), holes(64, 80, (3, 9, 3, 9))
    fill_holes(filler, image, mask)
    assert filler.model.seen == [(64, 80)]
