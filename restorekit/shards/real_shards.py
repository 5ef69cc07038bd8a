"""Shards of real pairs: tiles to train on and whole pairs to validate by, alone or together with synthesized frames.

No scene is in two splits. A sample depends on its pair, the seed and the set's name, not on the set's folder or on the
worker that writes it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.config import FrameConfig, RealSet, RealTraining, RealValidation, Split
from restorekit.config.real import PairTiles
from restorekit.errors import RestorekitError
from restorekit.image import encode_grey, encode_rgb
from restorekit.image.arrays import Encoding
from restorekit.rng import rng_for, seed_for
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.shards.synthesis import FrameRecipe
from restorekit.sources.photo_index import SplitName, split_of
from restorekit.sources.real_pairs import RealPair, find_pairs, load_pair, pairs_digest
from restorekit.tasks import TASKS

SPLITS: tuple[SplitName, ...] = ("train", "val")


@dataclass(frozen=True)
class PairRecipe:
    """One split of a real set: everything that its samples depend on."""

    name: str
    config: RealSet
    split: SplitName
    seed: int
    encoding: Encoding
    pairs: tuple[RealPair, ...]  # in the order in which they are written
    quality: int | None = None  # of jpeg
    with_frames: bool = False  # together with frames: the kind is "real", and every reflection has a layer

    @property
    def task(self) -> str:
        return self.config.task

    @property
    def num_shards(self) -> int:
        return self.config.num_shards(self.split)

    def samples(self, shard: int, root: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """The (key, members) pairs of one shard; the files lie below `root`."""
        count = len(self.pairs)
        for pair in self.pairs[count * shard // self.num_shards : count * (shard + 1) // self.num_shards]:
            yield from _samples(self, pair, root)

    def digest_values(self) -> dict[str, Any]:
        """Values, without the set's folder, for the digest that names a half-finished set for a later run."""
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
    """The recipes of both splits; a RestorekitError where a pair is smaller than a tile, or a shard has no pair."""
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
        if split == "train":  # variants of one scene are neighbours in the folder, and would share a shard
            chosen = [chosen[i] for i in rng_for(seed, name, "order").permutation(len(chosen))]
        recipe = PairRecipe(name, config, split, seed, encoding, tuple(chosen), quality)
        if len(chosen) < recipe.num_shards:
            raise RestorekitError(f"{where}.{split}: {len(chosen)} pairs for {recipe.num_shards} shards: lower shards")
        recipes.append(recipe)
    return recipes


def write_choosing(
    folder: Path, name: str, config: RealValidation, pairs: Sequence[RealPair], base: Path
) -> ShardManifest:
    """Writes one lossless shard of whole `pairs` of the set `name`, and its manifest; a relative root is below `base`.

    A few hundred pairs at most choose a state, so this process writes them itself.
    """
    recipe = PairRecipe(name, config, "val", 0, "png", tuple(pairs))
    root = base / Path(config.root).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    shard = write_shard(folder / f"{name}.tar", recipe.samples(0, root))
    manifest = ShardManifest(name, config.task, "val", pairs_digest(pairs), (shard,))
    manifest.save(folder)
    return manifest


def _scenes_of_val(where: str, share: float, pairs: Sequence[RealPair]) -> set[str]:
    """A share of the scenes, at least one and not all, chosen by the digest of each scene's first clean image."""
    places: dict[str, int] = {}
    for pair in pairs:
        places.setdefault(pair.scene, seed_for(0, "split", pair.target_sha256 or pair.input_sha256))
    values = sorted(set(places.values()))  # scenes with the same clean image have one value and stay together
    if len(values) < 2:
        raise RestorekitError(f"{where}: {len(values)} clean image for {len(pairs)} pairs; two at least are needed")
    chosen = [value for value in values[:-1] if value < share * 2**64] or values[:1]
    return {scene for scene, place in places.items() if place <= chosen[-1]}


def _samples(recipe: PairRecipe, pair: RealPair, root: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    loaded = load_pair(root, pair)
    assert loaded.clean is not None  # the parameters refuse sets without clean images
    images = {"degraded": loaded.degraded, "clean": loaded.clean}
    if "layer" in TASKS[recipe.task].members and (loaded.layer is not None or recipe.with_frames):
        # Without a photographed layer, the light that the glass added is the layer to learn.
        added = np.where(loaded.degraded > loaded.clean, loaded.degraded - loaded.clean, 0)
        images["layer"] = added.astype(np.uint8) if loaded.layer is None else loaded.layer
    mask = loaded.mask if TASKS[recipe.task].takes_mask else None
    kind = "real" if recipe.with_frames else None
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
    """Keys and (top, left, height, width) of a pair's windows."""
    if recipe.split != "train":
        yield pair.key, (0, 0, pair.height, pair.width)
        return
    assert isinstance(recipe.config, RealTraining)
    tile = recipe.config.train.tile
    rng = rng_for(recipe.seed, recipe.name, "tiles", pair.key)
    for number in range(recipe.config.train.tiles):
        top, left = int(rng.integers(pair.height - tile + 1)), int(rng.integers(pair.width - tile + 1))
        yield f"{pair.key}-{number:02d}", (top, left, tile, tile)


@dataclass(frozen=True)
class JoinedRecipe:
    """One split of a data set: the samples of `made`, then the pairs of each folder."""

    made: FrameRecipe
    folders: tuple[tuple[str, PairRecipe], ...]  # each folder's root, and its pairs of this split

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
        """The (key, members) pairs of one shard; photographs lie in `photos`, pairs below their folders' roots."""
        yield from self.made.samples(shard, photos)
        for root, pairs in self.folders:
            yield from pairs.samples(shard, Path(root))

    def digest_values(self) -> dict[str, Any]:
        """Values, without the pairs' roots, for the digest that names a half-finished synthesis for a later run."""
        pairs = [pairs.digest_values() for _, pairs in self.folders]
        return {"made": self.made.digest_values(), "pairs": pairs}


def with_pairs(recipes: Sequence[FrameRecipe], dataset: FrameConfig, base: Path) -> list[JoinedRecipe]:
    """The `recipes`, each joined with the pairs of the data set's folders; their roots are relative to `base`.

    The digest of a scene's clean image chooses its split. Raises a RestorekitError where a folder does not follow its
    layout, a pair is smaller than a training tile, or two pairs have one name.
    """
    name, task = recipes[0].name, recipes[0].task
    found: list[tuple[str, RealTraining, tuple[RealPair, ...]]] = []
    for number, one in enumerate(dataset.pairs):
        root = (base / Path(one.root).expanduser()).resolve()
        tiles = dataset.train.model_dump(include=set(PairTiles.model_fields))  # the others change no real pair
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
    return [_joined(recipe, found) for recipe in recipes]


def _joined(recipe: FrameRecipe, found: Sequence[tuple[str, RealTraining, tuple[RealPair, ...]]]) -> JoinedRecipe:
    encoding: Encoding = recipe.encoding
    folders = []
    for root, config, pairs in found:
        of_scene = {pair.scene: pair.target_sha256 or pair.input_sha256 for pair in reversed(pairs)}
        chosen = tuple(pair for pair in pairs if split_of(of_scene[pair.scene], Split()) == recipe.split)
        shards = {"val": config.val.model_copy(update={"shards": recipe.num_shards})}
        made = PairRecipe(
            recipe.name, config.model_copy(update=shards), recipe.split, recipe.seed, encoding, chosen, recipe.quality,
            with_frames=True,
        )  # fmt: skip
        folders.append((root, made))
    return JoinedRecipe(recipe, tuple(folders))
