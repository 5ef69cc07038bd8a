"""Shards of masks: mask number i of a split depends on seed, name, split and i alone.

A sample has two members: `mask.png` (255 = hole), and `json`, the record that the mask is rebuilt from.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.config import MaskData, MaskShards
from restorekit.degradations.holes import Holes, hole_mask
from restorekit.errors import RestorekitError
from restorekit.image import decode_grey, encode_grey
from restorekit.rng import rng_for
from restorekit.shards.manifest import REMEDY
from restorekit.shards.reader import ShardReader
from restorekit.sources.photo_index import SplitName


@dataclass(frozen=True)
class MaskRecipe:
    """One split of a data set of masks: everything that its samples depend on."""

    name: str
    dataset: MaskData
    split: SplitName
    seed: int

    @property
    def task(self) -> str:
        return self.dataset.task

    @property
    def num_shards(self) -> int:
        return self._split.shards

    @property
    def _split(self) -> MaskShards:
        split: MaskShards = getattr(self.dataset, self.split)
        return split

    def samples(self, shard: int, source: Path) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """The (key, members) pairs of one shard; `source` is not read."""
        count = self._split.masks
        for number in range(count * shard // self.num_shards, count * (shard + 1) // self.num_shards):
            record = self._record(number)
            mask = rebuild_mask(record).astype(np.uint8) * np.uint8(255)
            text = json.dumps(record, sort_keys=True).encode()
            yield f"{self.split}-{number:07d}", {"mask.png": encode_grey(mask), "json": text}

    def digest_values(self) -> dict[str, Any]:
        """Values for the digest that names a half-finished set, so that a later run continues it."""
        return {**asdict(self), "dataset": self.dataset.model_dump(mode="json")}

    def _record(self, number: int) -> dict[str, Any]:
        """The record of one mask; severities are spread evenly over the buckets of hole shares."""
        rng = rng_for(self.seed, self.name, self.split, number)
        low, high = self.dataset.severity
        # Multiples of the golden ratio cover the range evenly for any number of masks.
        severity = low + (high - low) * ((number + 0.5) * 0.6180339887498949 % 1.0)
        side = self.dataset.side
        params = Holes().sample(rng, (side, side), severity, self.dataset.kind)
        return {
            "dataset": self.name, "task": self.task, "kind": self.dataset.kind, "severity": severity,
            "split": self.split, "params": params,
        }  # fmt: skip


def rebuild_mask(record: Mapping[str, Any]) -> np.ndarray:
    """The mask of a record, bool (H, W)."""
    height, width = record["params"]["size"]
    return hole_mask((height, width), record["params"])


def iter_masks(folder: Path) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """(key, mask, record) of every sample of a folder of masks, in the order written; the mask is uint8, 255 = hole."""
    for key, members in ShardReader(folder).raw_samples():
        if "mask.png" not in members or "json" not in members:
            raise RestorekitError(f"sample '{key}' of {folder} holds no mask: {REMEDY}")
        yield key, decode_grey(members["mask.png"]), json.loads(members["json"])
