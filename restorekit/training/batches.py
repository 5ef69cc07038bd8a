"""Batches in the order of the reading plan, decoded and augmented in loader workers: a pure function of the cursor."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from restorekit.errors import RestorekitError
from restorekit.shards.augmentation import PairAugmentation
from restorekit.shards.mixture import MixedReader
from restorekit.shards.plan import Cursor, batch_at, begin_epoch
from restorekit.shards.reader import ShardReader, ShardSample

IMAGES = ("degraded", "clean", "layer", "mask")  # the members of a sample that a batch holds, if present


@dataclass(frozen=True)
class TrainBatch:
    """One rank's samples of one step."""

    images: dict[str, Tensor]  # uint8 (B, 3, H, W), masks (B, 1, H, W)
    keys: tuple[str, ...]
    weight: float  # of the mean loss, see restorekit.shards.plan.batch_at
    cursor: Cursor  # after this batch


@dataclass(frozen=True)
class PackedBatch:
    """A batch on its way out of a loader worker, in one tensor: each tensor handed over takes a file descriptor."""

    pixels: Tensor  # uint8 (bytes of all images,), one member after the other
    shapes: dict[str, tuple[int, int, int, int]]
    keys: tuple[str, ...]
    weight: float
    epoch: int
    step: int  # of the epoch, after this batch

    def images(self) -> dict[str, Tensor]:
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        parts = self.pixels.split(sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


class PlannedBatches(IterableDataset[PackedBatch | RestorekitError]):
    """The batches of one rank from a cursor on, epoch after epoch, without end."""

    def __init__(
        self,
        shards: Mapping[Path, float],
        cursor: Cursor,
        place: tuple[int, int],
        seed: int,
        crop: int,
        flips: tuple[str, ...],
    ) -> None:
        self._shards, self._cursor, self._place = shards, cursor, place
        self._seed, self._crop, self._flips = seed, crop, flips

    def __iter__(self) -> Iterator[PackedBatch | RestorekitError]:
        worker = get_worker_info()
        if worker is not None:
            cv2.setNumThreads(0)
            torch.set_num_threads(1)
        own = worker.id if worker else 0
        stride = worker.num_workers if worker else 1
        try:
            yield from self._batches(own, stride)
        except RestorekitError as error:
            yield error  # as a value: torch would wrap a loader worker's exception into a traceback

    def _batches(self, own: int, stride: int) -> Iterator[PackedBatch]:
        """Every `stride`th batch from number `own` on: a DataLoader takes batches from its workers in turn."""
        num_lanes = self._cursor.lanes_of(*self._place)
        reader = MixedReader(self._shards, self._seed, members=frozenset(IMAGES), num_lanes=num_lanes)
        common = common_images(reader.readers) if len(reader.readers) > 1 else None
        augmentation = lru_cache(maxsize=None)(lambda names: PairAugmentation(self._crop, self._flips, names))
        cursor = self._cursor
        while True:
            order = reader.mixture.epoch(cursor.epoch)
            for step in range(cursor.step + own, cursor.num_steps, stride):
                batch = batch_at(cursor, *self._place, step)
                samples = list(reader.in_order(order, batch.positions))
                images = [images_of(one) if common is None else _wanted(one, common) for _, one in samples]
                augment = augmentation(tuple(images[0]))
                cut = [
                    augment(one, place.seed, place.epoch, sample.key)
                    for one, (place, sample) in zip(images, samples, strict=True)
                ]
                keys = tuple(reader.name(*one) for one in samples)
                yield PackedBatch(*pack(cut), keys, batch.weight, cursor.epoch, step + 1)
            own = (own - (cursor.num_steps - cursor.step)) % stride
            cursor = begin_epoch(cursor.epoch + 1, reader.num_samples, cursor.batch_size)


def train_batches(
    shards: Mapping[Path, float],
    cursor: Cursor,
    place: tuple[int, int],
    loader_workers: int,
    seed: int,
    crop: int,
    flips: tuple[str, ...],
) -> Iterator[TrainBatch]:
    """Batches without end from `cursor` on, epoch after epoch, from the same loader workers.

    `shards` are the folders of the data sets, each with its share; `place` is this rank and the number of ranks.
    """
    num_samples = MixedReader(shards, seed).num_samples
    data = PlannedBatches(shards, cursor, place, seed, crop, flips)
    # Without a timeout the loop would wait for a dead loader worker for ever.
    for packed in DataLoader(data, batch_size=None, num_workers=loader_workers, timeout=300 if loader_workers else 0):
        if isinstance(packed, RestorekitError):
            raise packed
        if packed.epoch != cursor.epoch:
            cursor = begin_epoch(cursor.epoch + 1, num_samples, cursor.batch_size)
        yield TrainBatch(packed.images(), packed.keys, packed.weight, replace(cursor, step=packed.step))


def pack(samples: list[dict[str, np.ndarray]]) -> tuple[Tensor, dict[str, tuple[int, int, int, int]]]:
    """The bytes of all images, and the shapes (B, C, H, W) to view them in; each member's images have one size."""
    shapes = {
        name: (len(samples), 1 if image.ndim == 2 else image.shape[2], *image.shape[:2])
        for name, image in samples[0].items()
    }
    pixels = np.empty(sum(int(np.prod(shape)) for shape in shapes.values()), np.uint8)
    offset = 0
    for name, shape in shapes.items():
        stop = offset + int(np.prod(shape))
        for planes, sample in zip(pixels[offset:stop].reshape(shape), samples, strict=True):
            if len(planes) == 1:
                planes[0] = sample[name]
            else:
                cv2.split(sample[name], list(planes))  # straight into the batch, in a third of NumPy's time
        offset = stop
    return torch.from_numpy(pixels), shapes


def images_of(sample: ShardSample) -> dict[str, np.ndarray]:
    """The members of a sample that a training uses: the pair, and layer and mask if present."""
    return {name: getattr(sample, name) for name in IMAGES if getattr(sample, name) is not None}


def common_images(readers: list[ShardReader]) -> frozenset[str]:
    """The images in every batch of several data sets: those that all sets have, and a layer if one set has it.

    A mask that not all sets have is left out: only MADF takes masks, and all data sets for inpainting have them.
    """
    found = [reader.images() for reader in readers]
    return frozenset(set.intersection(*found) | (set.union(*found) & {"layer"}))


def _wanted(sample: ShardSample, common: frozenset[str]) -> dict[str, np.ndarray]:
    """The images of a sample of a mixture; its layer is the light that was added, where it has no other."""
    images = images_of(sample)
    if "layer" in common and "layer" not in images:
        images["layer"] = cv2.subtract(sample.degraded, sample.clean)  # 0 where light was lost
    return {name: images[name] for name in IMAGES if name in common}


def to_tensor(image: np.ndarray) -> Tensor:
    """uint8 H x W x 3 or H x W -> uint8 (3, H, W) or (1, H, W)."""
    channels_last = image if image.ndim == 3 else image[:, :, None]
    return torch.from_numpy(np.ascontiguousarray(channels_last.transpose(2, 0, 1)))


def to_unit(image: Tensor, device: torch.device) -> Tensor:
    """uint8 -> float32 in [0, 1] on `device`. From pinned memory, the copy to a GPU does not hold up the host."""
    if device.type == "cuda":
        image = image.pin_memory()
    return image.to(device, non_blocking=True).float().div_(255.0)
