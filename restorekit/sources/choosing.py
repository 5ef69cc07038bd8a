"""The pairs of public sets that choose the best state of a training, and the pairs that are left to judge and to train.

No pair does both. Of a set in `real.validate`, every second scene chooses: the first, third, fifth, ... by the sorted
names of the degraded images. `first: N` takes the first N pairs instead. Wherever else a choosing pair turns up, in
`real.evaluate` or `real.train`, it is left out there. Pairs are known by the digests of their files, so a link, a copy
or another layout of a set brings no pair back, nor another degradation of the same clean image.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from restorekit.config import RealValidation
from restorekit.errors import RestorekitError
from restorekit.sources.real_pairs import RealPair, find_pairs

FEWEST_SCENES = 6  # of a set that chooses; three choose then, and three judge


def choosing_pairs(name: str, config: RealValidation, base: Path) -> tuple[RealPair, ...]:
    """The pairs of `real.validate.<name>` that choose, by name; a relative root is below `base`.

    Raises a RestorekitError where the set does not follow its layout, or has fewer than `FEWEST_SCENES` scenes.
    """
    where = f"real.validate.{name}"
    found = find_pairs(where, base / Path(config.root).expanduser(), config.layout, config.pairs)
    pairs = sorted(found, key=lambda pair: PurePosixPath(pair.input).with_suffix("").as_posix())
    scenes = list(dict.fromkeys(pair.scene for pair in pairs))
    if len(scenes) < FEWEST_SCENES:
        raise RestorekitError(
            f"{where}: {len(scenes)} scenes are too few to choose by and to judge by: take a set of {FEWEST_SCENES} "
            f"scenes or more here, and name this one in real.evaluate alone"
        )
    if config.first is None:
        chosen = set(scenes[::2])
        return tuple(pair for pair in pairs if pair.scene in chosen)
    if config.first > len(pairs):
        raise RestorekitError(f"{where}: first: {config.first} is more than the {len(pairs)} pairs of the set")
    return tuple(pairs[: config.first])


def choosing_files(sets: Mapping[str, RealValidation], base: Path) -> frozenset[str]:
    """The SHA-256 of the degraded and clean images of all pairs that choose."""
    pairs = (pair for name, one in sets.items() for pair in choosing_pairs(name, one, base))
    return frozenset(digest for pair in pairs for digest in _files(pair))


def pairs_left(where: str, pairs: Sequence[RealPair], chosen: Iterable[str]) -> tuple[RealPair, ...]:
    """The pairs with neither image among `chosen`; a RestorekitError names the set at `where` if no pair is left."""
    taken = frozenset(chosen)
    left = tuple(pair for pair in pairs if taken.isdisjoint(_files(pair)))
    if pairs and not left:
        raise RestorekitError(
            f"{where}: all of its {len(pairs)} pairs choose the best state of trainings, so none is left here: "
            f"name another set, or fewer pairs in real.validate (`first: N`)"
        )
    return left


def _files(pair: RealPair) -> list[str]:
    return [digest for digest in (pair.input_sha256, pair.target_sha256) if digest is not None]
