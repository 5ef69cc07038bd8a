"""An interval for a mean over test images that knows that images of one photograph resemble each other."""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
CHUNK = 2_000_000  # numbers drawn at a time; 16 MB


def mean_interval(
    values: np.ndarray, photographs: Sequence[str], rng: np.random.Generator, resamples: int, level: float = LEVEL
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of `values`, float (n,), n >= 1.

    Photographs are drawn with replacement first, then images within each drawn one (Davison & Hinkley 1997, section
    3.8), so that the interval speaks of other photographs, too. With one photograph only its images are drawn. With few
    photographs it is too narrow: of 100 intervals from normal values, 60 to 87 hold the true mean with two photographs,
    86 with five, 94 with twenty (measured; the less photographs differ, the more).
    """
    groups = _groups(values, photographs)
    sizes = np.array([len(group) for group in groups])
    table = np.zeros((len(groups), sizes.max()))
    for row, group in zip(table, groups, strict=True):
        row[: len(group)] = group
    per_chunk = max(1, CHUNK // table.size)
    means = [_resampled(table, sizes, rng, min(per_chunk, resamples - done)) for done in range(0, resamples, per_chunk)]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _groups(values: np.ndarray, photographs: Sequence[str]) -> list[np.ndarray]:
    """The values of each photograph, photographs by name, so that the order of the table changes nothing."""
    names = np.asarray(photographs)
    return [np.sort(values[names == name]) for name in sorted(set(photographs))]


def _resampled(table: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Means of `count` resamples, float64 (count,)."""
    num_groups, longest = table.shape
    drawn = rng.integers(num_groups, size=(count, num_groups))
    lengths = sizes[drawn]
    picks = np.floor(rng.random((count, num_groups, longest)) * lengths[..., None]).astype(np.int64)
    inside = np.arange(longest) < lengths[..., None]
    total = np.sum(table[drawn[..., None], picks] * inside, axis=(1, 2))
    return np.asarray(total / lengths.sum(axis=1))
