"""Real pairs beside the frames that are made here: one data set, shared out among its splits and shards by scene."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restorekit.config import FrameConfig, RealTraining, Split
from restorekit.errors import RestorekitError
from restorekit.image.encoding import Encoding
from restorekit.shards.pairs import PairRecipe
from restorekit.shards.synthesis import Recipe
from restorekit.sources.folders import split_of
from restorekit.sources.manifest import SplitName
from restorekit.sources.pairs import RealPair, find_pairs


@dataclass(frozen=True)
class BesideRecipe:
    """One split of a data set: what `made` gives, then the pairs of each folder."""

    made: Recipe
    folders: tuple[tuple[str, PairRecipe], ...]  # the root of each and its pairs of this split

    @property
    def name(self) -> str:
        return self.made.name

    @property
    def task(self) -> str:
        return self.made.task

    @property
    def split(self) -> SplitName:
        return self.made.split

    @property
    def num_shards(self) -> int:
        return self.made.num_shards

    def samples(self, shard: int, photos: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """The (key, members) pairs of one shard; photographs lie in `photos`, pairs below their own roots."""
        yield from self.made.samples(shard, photos)
        for root, pairs in self.folders:
            yield from pairs.samples(shard, Path(root))

    def digest_values(self) -> dict[str, Any]:
        """What a half-finished synthesis must agree in to be taken up again; not where the pairs lie."""
        pairs = [pairs.digest_values() for _, pairs in self.folders]
        return {"made": self.made.digest_values(), "pairs": pairs}


def with_pairs(recipes: Sequence[Recipe], dataset: FrameConfig, base: Path) -> list[BesideRecipe]:
    """`recipes` with the pairs of the data set's folders, whose roots lie relative to `base`.

    A scene goes to the split that the digest of its clean image says. Raises a RestorekitError where a folder is not
    as its layout says, a pair is smaller than a training tile, or two pairs have one name.
    """
    name, task = recipes[0].name, recipes[0].task
    found: list[tuple[str, RealTraining, tuple[RealPair, ...]]] = []
    for number, one in enumerate(dataset.pairs):
        root = (base / Path(one.root).expanduser()).resolve()
        tiles = dataset.train.model_dump(exclude={"variants", "out_of_focus"})  # real pairs are as they are
        config = RealTraining.model_validate(
            {"task": task, "layout": one.layout, "root": one.root, "pairs": one.pairs, "train": tiles}
        )
        pairs = find_pairs(f"datasets.{name}.pairs", root, one.layout, one.pairs)
        small = [pair for pair in pairs if min(pair.width, pair.height) < dataset.train.tile]
        if small:
            raise RestorekitError(
                f"datasets.{name}.pairs: {len(small)} pairs in {root} are smaller than train.tile "
                f"{dataset.train.tile}, such as {small[0].input} ({small[0].width} x {small[0].height})"
            )
        named = tuple(replace(pair, key=f"pair{number}-{pair.key}") for pair in pairs)
        found.append((str(root), config, named))
    return [_beside(recipe, found) for recipe in recipes]


def _beside(recipe: Recipe, found: Sequence[tuple[str, RealTraining, tuple[RealPair, ...]]]) -> BesideRecipe:
    encoding: Encoding = recipe.encoding
    folders = []
    for root, config, pairs in found:
        of_scene = {pair.scene: pair.target_sha256 or pair.input_sha256 for pair in reversed(pairs)}
        chosen = tuple(pair for pair in pairs if split_of(of_scene[pair.scene], Split()) == recipe.split)
        shards = {"val": config.val.model_copy(update={"shards": recipe.num_shards})}
        made = PairRecipe(
            recipe.name, config.model_copy(update=shards), recipe.split, recipe.seed, encoding, chosen, recipe.quality,
            beside=True,
        )  # fmt: skip
        folders.append((root, made))
    return BesideRecipe(recipe, tuple(folders))
