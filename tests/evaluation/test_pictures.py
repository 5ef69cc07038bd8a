"""Pictures are chosen by photograph and severity alone, and drawn with unchanged pixels."""

import numpy as np
import pytest

from restorekit.evaluation.pictures import GUTTER, LONGEST, choose, triptych
from restorekit.evaluation.results import Facts
from restorekit.rng import rng_for


def facts(photographs: int, images: int) -> list[Facts]:
    return [
        Facts(f"p{p}-{i}", f"p{p}", "kind", (i + p / photographs) / images)
        for p in range(photographs)
        for i in range(images)
    ]


@pytest.mark.parametrize("photographs, images, count", [(2, 12, 6), (1, 5, 3), (7, 2, 6), (3, 1, 6), (4, 4, 0)])
def test_the_requested_number_of_images_is_chosen_without_repeats(photographs: int, images: int, count: int) -> None:
    chosen = choose(facts(photographs, images), count)
    assert len(chosen) == len(set(chosen)) == min(count, photographs * images)
    assert len({key.split("-")[0] for key in chosen}) == min(count, photographs)


def test_chosen_severities_are_spread() -> None:
    every = facts(2, 12)
    severity = {one.key: one.severity for one in every}
    chosen = sorted(severity[key] or 0.0 for key in choose(every, 6))
    assert chosen[0] < 0.2
    assert chosen[-1] > 0.8
    assert max(np.diff(chosen)) < 0.3


def test_the_choice_does_not_depend_on_the_order_of_the_images() -> None:
    every = facts(3, 6)
    shuffled = [every[index] for index in rng_for(0, "order").permutation(len(every))]
    assert choose(shuffled, 5) == choose(every, 5)


def test_images_of_unknown_severity_can_be_chosen() -> None:
    assert len(choose([Facts("a", "p"), Facts("b", "p"), Facts("c", "q")], 3)) == 3


def test_a_triptych_has_the_three_images_unchanged() -> None:
    images = [rng_for(0, "image", n).integers(0, 256, (37, 31, 3), dtype=np.uint8) for n in range(3)]
    drawn = triptych(*images)
    assert (drawn.width, drawn.height) == (31, 37)
    assert drawn.image.shape == (37, 3 * 31 + 2 * GUTTER, 3)
    for n, image in enumerate(images):
        left = n * (31 + GUTTER)
        np.testing.assert_array_equal(drawn.image[:, left : left + 31], image)


def test_large_images_are_scaled_down_for_the_page() -> None:
    large = np.full((10, 3 * LONGEST, 3), 90, np.uint8)
    drawn = triptych(large, large, large)
    assert (drawn.width, drawn.height) == (LONGEST, 3)
    assert (drawn.image[:, :LONGEST] == 90).all()
