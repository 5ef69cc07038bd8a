"""What a run is judged by: the synthetic test first, then the real sets of its task; unpaired ones give pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restorekit.config import Params, RealSet
from restorekit.evaluation.pairs import Facts, Pair, PairPart, PairSet, synthetic_test
from restorekit.image import to_float
from restorekit.paths import Paths
from restorekit.sources.real_pairs import RealPair, find_pairs, load_pair, pairs_digest


@dataclass(frozen=True)
class PictureSet:
    """Degraded photographs, uint8 (H, W, 3), of which no clean ones exist: to be looked at, and never scored."""

    name: str
    digest: str
    facts: tuple[Facts, ...]
    open: Callable[[Sequence[str]], Iterator[tuple[Facts, np.ndarray]]]  # those of the given keys


def scored_sets(run: str, params: Params, paths: Paths, base: Path) -> list[PairSet]:
    """The sets that a run is scored on, the gate's first; roots of real sets lie relative to `base`."""
    task = params.trained_on(params.run(run).dataset).task
    real = [real_pairs(name, one, base) for name, one in params.real.to_evaluate(task).items() if one.paired]
    return [*_synthetic(run, params, paths), *real]


def picture_sets(run: str, params: Params, base: Path) -> list[PictureSet]:
    """The sets without clean images for a run's task."""
    task = params.trained_on(params.run(run).dataset).task
    return [real_pictures(name, one, base) for name, one in params.real.to_evaluate(task).items() if not one.paired]


def gate_set(run: str, params: Params, paths: Paths, base: Path) -> PairSet:
    """The one set that promotion looks at: the synthetic test, or the first real one where the run has no other."""
    synthetic = _synthetic(run, params, paths)
    return synthetic[0] if synthetic else scored_sets(run, params, paths, base)[0]


def real_pairs(name: str, config: RealSet, base: Path) -> PairSet:
    """The pairs of `real.evaluate.<name>`; a RestorekitError where they are not as their layout says."""
    root, pairs = _found(name, config, base)

    def opened(start: int = 0, stop: int | None = None) -> Iterator[Pair]:
        for pair in pairs[start:stop]:
            loaded = load_pair(root, pair)
            assert loaded.clean is not None  # the layout is paired
            mask = None if loaded.mask is None else to_float(loaded.mask)
            yield Pair(_facts(pair), loaded.degraded, loaded.clean, mask)

    known = tuple(_facts(pair) for pair in pairs)
    return PairSet(name, pairs_digest(pairs), opened, known, PairPart(len(pairs), opened))


def real_pictures(name: str, config: RealSet, base: Path) -> PictureSet:
    """The photographs of `real.evaluate.<name>`, which has no clean ones."""
    root, pairs = _found(name, config, base)

    def opened(keys: Sequence[str]) -> Iterator[tuple[Facts, np.ndarray]]:
        for pair in pairs:
            if pair.key in keys:
                yield _facts(pair), load_pair(root, pair).degraded

    return PictureSet(name, pairs_digest(pairs), tuple(_facts(pair) for pair in pairs), opened)


def _synthetic(run: str, params: Params, paths: Paths) -> list[PairSet]:
    dataset = params.run(run).dataset
    return [] if dataset in params.real.train else [synthetic_test(paths.shards(dataset) / "test")]


def _found(name: str, config: RealSet, base: Path) -> tuple[Path, tuple[RealPair, ...]]:
    root = base / Path(config.root).expanduser()
    return root, find_pairs(f"real.evaluate.{name}", root, config.layout, config.pairs)


def _facts(pair: RealPair) -> Facts:
    """Neither kind nor severity is known; images of one scene are not independent of each other."""
    return Facts(pair.key, photograph=pair.scene)
