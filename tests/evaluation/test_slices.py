"""The interval covers the true mean, respects photographs, and depends on values and seed alone."""

import numpy as np
import pytest

from restorekit.evaluation.slices import mean_interval
from restorekit.rng import rng_for


def simulated(seed: int, photographs: int, images: int, between: float, within: float) -> tuple[np.ndarray, list[str]]:
    """Values with a true mean of 0; each photograph shifts all of its values."""
    rng = rng_for(seed, "simulated", photographs)
    values = rng.normal(0.0, between, (photographs, 1)) + rng.normal(0.0, within, (photographs, images))
    return values.ravel(), [f"p{number}" for number in range(photographs) for _ in range(images)]


@pytest.mark.parametrize(
    "photographs, images, between, within, lowest",
    [(20, 4, 1.0, 0.5, 0.89), (24, 1, 1.0, 0.0, 0.89), (1, 30, 0.0, 1.0, 0.89), (5, 4, 1.0, 0.5, 0.80)],
)
def test_coverage_of_the_true_mean(photographs: int, images: int, between: float, within: float, lowest: float) -> None:
    covered = 0
    for seed in range(300):
        values, names = simulated(seed, photographs, images, between, within)
        low, high = mean_interval(values, names, rng_for(seed, "draws"), 400)
        covered += low <= 0.0 <= high
    assert lowest <= covered / 300 <= 0.98


def test_images_of_few_photographs_give_a_wider_interval_than_independent_images() -> None:
    values, names = simulated(5, 6, 8, 1.0, 0.3)
    clustered = mean_interval(values, names, rng_for(0, "draws"), 2000)
    independent = mean_interval(values, [str(index) for index in range(len(values))], rng_for(0, "draws"), 2000)
    assert clustered[1] - clustered[0] > 1.5 * (independent[1] - independent[0])


def test_the_interval_holds_the_mean_and_narrows_with_photographs() -> None:
    widths = []
    for photographs in (4, 16, 64):
        values, names = simulated(1, photographs, 3, 1.0, 0.3)
        low, high = mean_interval(values, names, rng_for(0, "draws"), 1000)
        assert low < values.mean() < high
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]


def test_photographs_with_fewer_images_are_not_padded() -> None:
    values, names = np.array([5.0, 5.0, 5.0, 5.0, 7.0]), ["a", "a", "a", "a", "b"]
    low, high = mean_interval(values, names, rng_for(0, "draws"), 500)
    assert (low, high) == (5.0, 7.0)


def test_the_interval_depends_on_the_generator_and_not_on_the_order() -> None:
    values, names = simulated(2, 3, 5, 1.0, 0.5)
    order = rng_for(9, "order").permutation(len(values))
    shuffled = mean_interval(values[order], [names[index] for index in order], rng_for(4, "draws"), 300)
    assert mean_interval(values, names, rng_for(4, "draws"), 300) == shuffled
    assert mean_interval(values, names, rng_for(5, "draws"), 300) != shuffled


def test_the_interval_of_one_image_is_its_value() -> None:
    assert mean_interval(np.array([1.25]), ["only"], rng_for(0, "draws"), 100) == (1.25, 1.25)
