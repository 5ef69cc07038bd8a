"""Synthesized samples: each depends on seed, data set, split, photograph, variant and tile, not on its worker.

Arithmetic gives the samples of a shard, without a list of all samples. A frame is one degraded photograph; training
frames are cut into tiles, validation and test frames stay whole.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.config import AnyDataset, FrameConfig, HoleConfig, TrainShards
from restorekit.degradations import get_degradation
from restorekit.degradations.camera import draw_camera, photographed
from restorekit.degradations.holes import Holes
from restorekit.degradations.optics import draw_focus, out_of_focus
from restorekit.degradations.scene import Degraded, Scene, undegraded
from restorekit.errors import RestorekitError
from restorekit.image import encode_grey, encode_rgb, to_uint8
from restorekit.image.arrays import Encoding
from restorekit.rng import rng_for
from restorekit.shards.frames import cut_frame, draw_frame, draw_part, frame_size, is_large_enough, whole_frame
from restorekit.sources.folders import MaskFile, find_masks, load_mask
from restorekit.sources.photo_index import Photograph, PhotoIndex, SplitName
from restorekit.tasks import TASKS

CLEAN_TAKEN = 0.5  # share of the undegraded frames that a camera takes, where it takes any


@dataclass(frozen=True)
class FrameRecipe:
    """One split of a data set: everything that its samples depend on."""

    name: str
    dataset: AnyDataset
    split: SplitName
    seed: int
    encoding: Encoding
    num_photographs: int
    photos_digest: str  # of the manifest of photographs, which every Ray task opens itself
    quality: int | None = None  # of jpeg
    masks: tuple[MaskFile, ...] = ()  # user's masks, for inpainting of the kind "files"
    masks_folder: str = ""
    large_enough: tuple[int, ...] | None = None  # numbers of the photographs that hold a frame; None: all

    @property
    def task(self) -> str:
        return self.dataset.task

    @property
    def num_frames(self) -> int:
        return self.num_photographs * int(self._split.variants)

    @property
    def num_shards(self) -> int:
        return self._split.shards

    def samples(self, shard: int, photos: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """The (key, members) pairs of one shard, ready to be written; the photographs lie in `photos`."""
        return shard_samples(self, shard, photos)

    def digest_values(self) -> dict[str, Any]:
        """Values for the digest that names a half-finished synthesis, so that a later run continues it."""
        values = {**asdict(self), "dataset": self.dataset.model_dump(mode="json", exclude={"masks"})}
        del values["masks_folder"]  # the folder may lie anywhere
        return values

    @property
    def _split(self) -> Any:
        return getattr(self.dataset, self.split)

    def frames_of(self, shard: int) -> range:
        """The numbers of one shard's frames; shards differ by at most one frame."""
        return range(self.num_frames * shard // self.num_shards, self.num_frames * (shard + 1) // self.num_shards)


def recipe_for(
    name: str,
    dataset: AnyDataset,
    split: SplitName,
    seed: int,
    encoding: Encoding,
    photos: PhotoIndex,
    quality: int | None = None,
) -> FrameRecipe:
    """The recipe of one split; a RestorekitError where photographs are missing or a shard would have no frame."""
    num_photographs = photos.count(split)
    if not num_photographs:
        raise RestorekitError(
            f"no photograph is in the split '{split}': add photographs to photos.folders, or set photos.packages: true"
        )
    large_enough = _large_enough(name, dataset, split, photos)
    num_photographs = num_photographs if large_enough is None else len(large_enough)
    masks, folder = _masks_of(name, dataset)
    recipe = FrameRecipe(
        name, dataset, split, seed, encoding, num_photographs, photos.digest, quality, masks, folder, large_enough
    )
    if recipe.num_frames < recipe.num_shards:
        raise RestorekitError(
            f"datasets.{name}.{split}: {recipe.num_frames} frames ({num_photographs} photographs x "
            f"{recipe.num_frames // num_photographs} variants) for {recipe.num_shards} shards: lower shards"
        )
    return recipe


def shard_samples(recipe: FrameRecipe, shard: int, photos: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """The (key, members) pairs of one shard, ready to be written; only the entries of its photographs are read."""
    index = PhotoIndex.open(photos)
    if index.digest != recipe.photos_digest:
        raise RestorekitError(f"{photos} has changed since {recipe.name} was planned: run `dvc repro synthesize` again")
    for frame in recipe.frames_of(shard):
        number = frame % recipe.num_photographs
        if recipe.large_enough is not None:
            number = recipe.large_enough[number]
        photograph = index.photograph(recipe.split, number)
        variant = frame // recipe.num_photographs
        record = frame_record(recipe, index, photograph, variant)
        degraded = rebuild(record, index, Path(recipe.masks_folder))
        for key, window in _windows(recipe, photograph, variant, degraded.clean.shape):
            yield key, _members(degraded, {**record, "tile": list(window)}, recipe)


def frame_record(recipe: FrameRecipe, index: PhotoIndex, photograph: Photograph, variant: int) -> dict[str, Any]:
    """All draws of a frame, as JSON values; `rebuild` makes the frame from them."""
    dataset = recipe.dataset
    rng = rng_for(recipe.seed, recipe.name, recipe.split, photograph.name, variant)
    low, high = dataset.severity
    # Stratified over the variants, so that a few test images still cover the whole range.
    num_variants = recipe.num_frames // recipe.num_photographs
    severity = low + (high - low) * (variant + float(rng.random())) / num_variants
    frame = _draw_frame(recipe, photograph, variant)
    height, width = frame_size(photograph, dataset.short_side) if frame is None else frame["window"][2:]
    degradation = get_degradation(dataset.task)
    other = _other(recipe, index, photograph, rng) if degradation.needs_other else None
    if recipe.masks:
        mask = recipe.masks[int(rng.integers(len(recipe.masks)))]
        params = Holes().sample_given(rng, load_mask(Path(recipe.masks_folder), mask, (height, width)))
        severity = params["severity"]
    else:
        mask = None
        params = degradation.sample(rng, (height, width), severity, dataset.kind)
    return {
        "dataset": recipe.name, "task": dataset.task, "kind": dataset.kind, "severity": severity, "split": recipe.split,
        "photograph": photograph.name, "photograph_sha256": photograph.sha256, "scene": photograph.scene,
        "short_side": dataset.short_side, "frame": frame, "other": other,
        "focus": _draw_focus(recipe, photograph, variant), **_draw_camera(recipe, photograph, variant),
        "mask_file": None if mask is None else asdict(mask), "params": json.loads(json.dumps(params)),
    }  # fmt: skip


def rebuild(record: Mapping[str, Any], photos: PhotoIndex, masks: Path | None = None) -> Degraded:
    """The frame of a record before encoding, bit for bit; `masks` is the folder of the user's masks, if any."""
    photograph = photos.find(record["split"], record["scene"], record["photograph"])
    if record["frame"] is None:
        scene = whole_frame(photos.folder, photograph, record["short_side"])
    else:
        scene = cut_frame(photos.folder, photograph, record["frame"])
    if record.get("focus") is not None:  # older records have none
        scene = replace(scene, image=out_of_focus(scene.image, record["focus"]))
    other = record["other"]
    if other is not None:
        reflected = photos.find(record["split"], other["scene"], other["photograph"])
        pixels = whole_frame(photos.folder, reflected, record["short_side"]).image
        scene = Scene(
            scene.image, scene.disparity, np.ascontiguousarray(pixels[:, ::-1]) if other["flipped"] else pixels
        )
    if record["mask_file"] is not None:
        if masks is None:
            raise RestorekitError(
                f"'{record['photograph']}' has holes from {record['mask_file']['file']}: give `masks`"
            )
        size = (scene.image.shape[0], scene.image.shape[1])
        scene = replace(scene, holes=load_mask(masks, MaskFile(**record["mask_file"]), size))
    made = undegraded(scene) if record["clean"] else get_degradation(record["task"]).apply(scene, record["params"])
    return made if record["camera"] is None else photographed(made, record["camera"])


def _draw_frame(recipe: FrameRecipe, photograph: Photograph, variant: int) -> dict[str, list[int]] | None:
    dataset = recipe.dataset
    rng = rng_for(recipe.seed, recipe.name, recipe.split, "frame", photograph.name, variant)
    if recipe.split == "train" and dataset.train.zoom > 1.0:
        return draw_part(rng, photograph, dataset.short_side, dataset.train.zoom)
    if not isinstance(dataset, FrameConfig) or dataset.long_side is None:
        return None
    return draw_frame(rng, photograph, dataset.short_side, dataset.long_side)


def _draw_focus(recipe: FrameRecipe, photograph: Photograph, variant: int) -> dict[str, Any] | None:
    share = recipe.dataset.train.out_of_focus if recipe.split == "train" else 0.0
    rng = rng_for(recipe.seed, recipe.name, recipe.split, "focus", photograph.name, variant)
    return draw_focus(rng) if rng.random() < share else None


def _draw_camera(recipe: FrameRecipe, photograph: Photograph, variant: int) -> dict[str, Any]:
    """clean: whether the frame is left undegraded; camera: the record of the camera that takes the frame, or None."""
    if recipe.split != "train":
        return {"clean": False, "camera": None}
    shares = recipe.dataset.train
    rng = rng_for(recipe.seed, recipe.name, recipe.split, "camera", photograph.name, variant)
    is_clean, taken = (float(value) for value in rng.random(2))
    clean = is_clean < shares.clean
    share = CLEAN_TAKEN if clean and shares.camera else shares.camera
    return {"clean": clean, "camera": draw_camera(rng) if taken < share else None}


def _large_enough(name: str, dataset: AnyDataset, split: SplitName, photos: PhotoIndex) -> tuple[int, ...] | None:
    if not isinstance(dataset, FrameConfig) or dataset.long_side is None:
        return None
    sides = dataset.short_side, dataset.long_side
    found = [number for number, one in enumerate(photos.photographs(split)) if is_large_enough(one, *sides)]
    if not found:
        raise RestorekitError(
            f"datasets.{name}: none of the {photos.count(split)} photographs of the split '{split}' has {sides[1]} x "
            f"{sides[0]} pixels: add larger ones to photos.folders (`make photos-uhd` gets some), or lower the sides"
        )
    return tuple(found)


def _masks_of(name: str, dataset: AnyDataset) -> tuple[tuple[MaskFile, ...], str]:
    if not isinstance(dataset, HoleConfig) or dataset.masks is None:
        return (), ""
    folder = (Path.cwd() / Path(dataset.masks).expanduser()).resolve()
    return find_masks(f"datasets.{name}.masks", folder), str(folder)


def _other(recipe: FrameRecipe, index: PhotoIndex, photograph: Photograph, rng: np.random.Generator) -> dict[str, Any]:
    """The reflected photograph: another scene of the split, or the same photograph mirrored if there is no other."""
    own = index.of_scene(recipe.split, photograph.scene)
    num_others = index.count(recipe.split) - len(own)
    if not num_others:
        return {"photograph": photograph.name, "scene": photograph.scene, "flipped": True}
    drawn = int(rng.integers(num_others))
    other = index.photograph(recipe.split, drawn if drawn < own.start else drawn + len(own))
    return {"photograph": other.name, "scene": other.scene, "flipped": bool(rng.random() < 0.5)}


def _windows(
    recipe: FrameRecipe, photograph: Photograph, variant: int, shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Keys and (top, left, height, width) of a frame's windows."""
    height, width = shape[:2]
    if recipe.split != "train":
        yield f"{photograph.name}-{variant:05d}", (0, 0, height, width)
        return
    tiles: TrainShards = recipe.dataset.train
    rng = rng_for(recipe.seed, recipe.name, "tiles", photograph.name, variant)
    for number in range(tiles.tiles):
        top = int(rng.integers(height - tiles.tile + 1))
        left = int(rng.integers(width - tiles.tile + 1))
        yield f"{photograph.name}-{variant:05d}-{number:02d}", (top, left, tiles.tile, tiles.tile)


def _members(degraded: Degraded, record: Mapping[str, Any], recipe: FrameRecipe) -> dict[str, bytes]:
    encoding, quality = recipe.encoding, recipe.quality
    top, left, height, width = record["tile"]
    window = np.s_[top : top + height, left : left + width]
    pixels = degraded.degraded[window]
    clipped = float(np.mean((pixels < 0.0) | (pixels > 1.0)))
    members = {
        f"degraded.{encoding}": encode_rgb(to_uint8(pixels), encoding, quality),
        f"clean.{encoding}": encode_rgb(to_uint8(degraded.clean[window]), encoding, quality),
        "json": json.dumps({**record, "clipped": clipped}, sort_keys=True).encode(),
    }
    layers = {"layer": degraded.noise_layer, "mask": degraded.mask, "transmission": degraded.transmission}
    for name in TASKS[record["task"]].members:
        values = layers[name]
        if values is None:
            raise ValueError(f"the degradation '{record['task']}' gave no {name}")
        if values.ndim == 3:
            members[f"{name}.{encoding}"] = encode_rgb(to_uint8(values[window]), encoding, quality)
        else:
            members[f"{name}.png"] = encode_grey(to_uint8(values[window]))
    return members
