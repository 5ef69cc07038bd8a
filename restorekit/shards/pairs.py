"""Real pairs as shards like those made here: tiles to train on, whole pairs to validate by, no scene in both.

A sample is a function of its pair, the seed and the set's name; where the set lies and who writes it changes nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.config import RealTraining
from restorekit.errors import RestorekitError
from restorekit.image import encode_grey, encode_rgb
from restorekit.image.encoding import Encoding
from restorekit.rng import rng_for, seed_for
from restorekit.sources.manifest import SplitName
from restorekit.sources.pairs import RealPair, load_pair

SPLITS: tuple[SplitName, ...] = ("train", "val")


@dataclass(frozen=True)
class PairRecipe:
    """Everything that the samples of one split of a real set depend on."""

    name: str
    config: RealTraining
    split: SplitName
    seed: int
    encoding: Encoding
    pairs: tuple[RealPair, ...]  # in the order in which they are written
    quality: int | None = None  # of jpeg
    beside: bool = False  # frames made here: the kind is then "real", and every reflection has a layer

    @property
    def task(self) -> str:
        return self.config.task

    @property
    def num_shards(self) -> int:
        return int(self.config.train.shards if self.split == "train" else self.config.val.shards)

    def samples(self, shard: int, root: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """The (key, members) pairs of one shard; the files lie below `root`."""
        count = len(self.pairs)
        for pair in self.pairs[count * shard // self.num_shards : count * (shard + 1) // self.num_shards]:
            yield from _samples(self, pair, root)

    def digest_values(self) -> dict[str, Any]:
        """What a half-finished set must agree in to be taken up again; not where it lies."""
        values = asdict(self)
        values["config"] = self.config.model_dump(mode="json", exclude={"root", "pairs"})
        return values


def pair_recipes(
    name: str,
    config: RealTraining,
    seed: int,
    encoding: Encoding,
    pairs: Sequence[RealPair],
    quality: int | None = None,
) -> list[PairRecipe]:
    """The recipes of both splits, checked: tiles fit into every pair, and there is a pair at least for every shard."""
    where, tile = f"real.train.{name}", config.train.tile
    small = [pair for pair in pairs if min(pair.width, pair.height) < tile]
    if small:
        shown = ", ".join(f"{pair.input} ({pair.width} x {pair.height})" for pair in small[:3])
        raise RestorekitError(
            f"{where}: pairs smaller than train.tile {tile}: {len(small)}, such as {shown}: lower it, or leave them out"
        )
    in_val = _scenes_of_val(where, config.val.share, pairs)
    recipes = []
    for split in SPLITS:
        chosen = [pair for pair in pairs if (pair.scene in in_val) == (split == "val")]
        if split == "train":  # variants of one scene lie side by side in their folder, and would share a shard
            chosen = [chosen[i] for i in rng_for(seed, name, "order").permutation(len(chosen))]
        recipe = PairRecipe(name, config, split, seed, encoding, tuple(chosen), quality)
        if len(chosen) < recipe.num_shards:
            raise RestorekitError(f"{where}.{split}: {len(chosen)} pairs for {recipe.num_shards} shards: lower shards")
        recipes.append(recipe)
    return recipes


def _scenes_of_val(where: str, share: float, pairs: Sequence[RealPair]) -> set[str]:
    """A share of the scenes, by the digest of each one's first clean image; one at least, and not all."""
    places: dict[str, int] = {}
    for pair in pairs:
        places.setdefault(pair.scene, seed_for(0, "split", pair.target_sha256 or pair.input_sha256))
    values = sorted(set(places.values()))  # equal for scenes with the same clean image, which stay together
    if len(values) < 2:
        raise RestorekitError(f"{where}: {len(values)} clean image for {len(pairs)} pairs; two at least are needed")
    chosen = [value for value in values[:-1] if value < share * 2**64] or values[:1]
    return {scene for scene, place in places.items() if place <= chosen[-1]}


def _samples(recipe: PairRecipe, pair: RealPair, root: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    loaded = load_pair(root, pair)
    assert loaded.clean is not None  # sets without clean images are refused by the parameters
    images = {"degraded": loaded.degraded, "clean": loaded.clean}
    if recipe.task == "reflection" and (loaded.layer is not None or recipe.beside):
        # Where none was photographed it is what the glass added, which is what is left to learn.
        added = np.where(loaded.degraded > loaded.clean, loaded.degraded - loaded.clean, 0)
        images["layer"] = added.astype(np.uint8) if loaded.layer is None else loaded.layer
    mask = loaded.mask if recipe.task == "inpainting" else None
    kind = "real" if recipe.beside else None
    for key, window in _windows(recipe, pair):
        top, left, height, width = window
        record: dict[str, Any] = {
            "dataset": recipe.name, "task": recipe.task, "kind": kind, "severity": None, "split": recipe.split,
            "photograph": pair.scene, "scene": pair.scene, "layout": recipe.config.layout, "params": {},
            "input": pair.input, "input_sha256": pair.input_sha256,
            "target": pair.target, "target_sha256": pair.target_sha256,
            "mask": pair.mask, "mask_sha256": pair.mask_sha256, "tile": list(window),
        }  # fmt: skip
        members = {
            f"{name}.{recipe.encoding}": encode_rgb(
                np.ascontiguousarray(image[top : top + height, left : left + width]), recipe.encoding, recipe.quality
            )
            for name, image in images.items()
        }
        if mask is not None:
            members["mask.png"] = encode_grey(np.ascontiguousarray(mask[top : top + height, left : left + width]))
        yield key, {**members, "json": json.dumps(record, sort_keys=True).encode()}


def _windows(recipe: PairRecipe, pair: RealPair) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Keys and (top, left, height, width) of what is cut from a pair."""
    if recipe.split != "train":
        yield pair.key, (0, 0, pair.height, pair.width)
        return
    tile = recipe.config.train.tile
    rng = rng_for(recipe.seed, recipe.name, "tiles", pair.key)
    for number in range(recipe.config.train.tiles):
        top, left = int(rng.integers(pair.height - tile + 1)), int(rng.integers(pair.width - tile + 1))
        yield f"{pair.key}-{number:02d}", (top, left, tile, tile)
