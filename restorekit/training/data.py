"""Batches in the plan's order, decoded and augmented in loader workers; a pure function of the cursor."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from restorekit.errors import RestorekitError
from restorekit.shards.augmentation import PairAugmentation
from restorekit.shards.plan import Cursor, EpochOrder, batch_at, begin_epoch
from restorekit.shards.reader import ShardReader, ShardSample

IMAGES = ("degraded", "clean", "layer", "mask")


@dataclass(frozen=True)
class TrainBatch:
    """One rank's samples of one step."""

    images: dict[str, Tensor]  # uint8 (B, 3, H, W), masks (B, 1, H, W)
    keys: tuple[str, ...]
    weight: float  # of the mean loss, see restorekit.shards.plan.batch_at
    cursor: Cursor  # after this batch


class PlannedBatches(IterableDataset[TrainBatch | RestorekitError]):
    """The batches of one rank from a cursor to the end of its epoch."""

    def __init__(self, shards: Path, cursor: Cursor, rank: int, seed: int, crop: int, flips: tuple[str, ...]) -> None:
        self._shards, self._cursor, self._rank = shards, cursor, rank
        self._seed, self._crop, self._flips = seed, crop, flips

    def __iter__(self) -> Iterator[TrainBatch | RestorekitError]:
        worker = get_worker_info()
        if worker is not None:
            cv2.setNumThreads(0)
            torch.set_num_threads(1)
        own = worker.id if worker else 0
        stride = worker.num_workers if worker else 1
        try:
            reader = ShardReader(self._shards, members=frozenset({"layer", "mask"}))
            order = EpochOrder([shard.samples for shard in reader.manifest.shards], self._seed, self._cursor.epoch)
            # The DataLoader takes batches from its workers in turn, beginning with worker 0.
            for step in range(self._cursor.step + own, self._cursor.num_steps, stride):
                batch = batch_at(self._cursor, self._rank, step)
                samples = list(reader.in_order(order, batch.positions))
                keys, after = tuple(sample.key for sample in samples), replace(self._cursor, step=step + 1)
                yield TrainBatch(self._augmented(samples), keys, batch.weight, after)
        except RestorekitError as error:
            yield error  # as a value: torch would wrap what a loader worker raises into a traceback

    def _augmented(self, samples: list[ShardSample]) -> dict[str, Tensor]:
        names = list(images_of(samples[0]))
        augment = PairAugmentation(self._crop, self._flips, tuple(names))
        cut = [
            augment({name: getattr(s, name) for name in names}, self._seed, self._cursor.epoch, s.key) for s in samples
        ]
        return {name: torch.stack([to_tensor(images[name]) for images in cut]) for name in names}


def train_batches(
    shards: Path, cursor: Cursor, rank: int, loader_workers: int, seed: int, crop: int, flips: tuple[str, ...]
) -> Iterator[TrainBatch]:
    """Batches without end from `cursor` on, epoch after epoch."""
    num_samples = ShardReader(shards).manifest.num_samples
    while True:
        data = PlannedBatches(shards, cursor, rank, seed, crop, flips)
        # A dead loader worker would otherwise be waited for without end.
        for batch in DataLoader(
            data, batch_size=None, num_workers=loader_workers, timeout=300 if loader_workers else 0
        ):
            if isinstance(batch, RestorekitError):
                raise batch
            yield batch
        cursor = begin_epoch(cursor.epoch + 1, num_samples, cursor.num_ranks, cursor.num_loaders, cursor.batch_size)


def images_of(sample: ShardSample) -> dict[str, np.ndarray]:
    """What a training looks at of a sample: the pair, and layer and mask where it has them."""
    return {name: getattr(sample, name) for name in IMAGES if getattr(sample, name) is not None}


def to_tensor(image: np.ndarray) -> Tensor:
    """uint8 H x W x 3 or H x W -> uint8 (3, H, W) or (1, H, W)."""
    channels_last = image if image.ndim == 3 else image[:, :, None]
    return torch.from_numpy(np.ascontiguousarray(channels_last.transpose(2, 0, 1)))


def to_unit(image: Tensor, device: torch.device) -> Tensor:
    """uint8 -> float32 in [0, 1] on `device`."""
    return image.to(device, non_blocking=True).float().div_(255.0)
