"""Shards of a rain-like and a haze-like task that a tiny network can learn, and settings of a short training."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from restorekit.config import DetectorConfig
from restorekit.image import encode_rgb, to_uint8
from restorekit.rng import rng_for
from restorekit.shards.manifest import ShardManifest, write_shard

SIDE = 80


def scene(number: int) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3): a smooth scene with dark and bright parts."""
    return to_uint8(cv2.resize(rng_for(7, number).random((5, 5, 3), dtype=np.float32), (SIDE, SIDE)))


def degraded(task: str, number: int) -> np.ndarray:
    """The scene with bright lines (rain), or behind a veil (haze)."""
    made = scene(number)
    if task == "haze":
        return cv2.addWeighted(made, 0.3, np.full_like(made, 230), 0.7, 0)
    rng = rng_for(8, number)
    for _ in range(40):
        x, y = (int(value) for value in rng.integers(0, SIDE, 2))
        cv2.line(made, (x, y), (x + 3, y + 14), (255, 255, 255), 2, cv2.LINE_AA)
    return made


def samples(task: str, first: int, count: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    for number in range(first, first + count):
        is_clean = number % 5 == 4
        record = {"task": task, "severity": 0.6, "clean": is_clean, "camera": None, "params": {"kind": "mixed"}}
        yield (
            f"{number:03d}",
            {
                "degraded.png": encode_rgb(scene(number) if is_clean else degraded(task, number), "png"),
                "clean.png": encode_rgb(scene(number), "png"),
                "json": json.dumps(record).encode(),
            },
        )


@pytest.fixture(scope="session")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, float]:
    """The folders of two data sets with their shares; each has train/ and val/."""
    root = tmp_path_factory.mktemp("sets")
    for task in ("rain", "haze"):
        for split, first, count in (("train", 0, 20), ("val", 20, 6)):
            folder = root / f"{task}-made" / split
            folder.mkdir(parents=True)
            shard = write_shard(folder / "0.tar", samples(task, first, count))
            ShardManifest(f"{task}-made", task, split, "made", (shard,)).save(folder)
    return {root / "rain-made": 1.0, root / "haze-made": 0.5}


def settings(**changes: Any) -> DetectorConfig:
    """A training of seconds."""
    short = {"steps": 6, "batch_size": 2, "crop": 64, "width": 4, "checkpoint_every": 2, "log_every": 2}
    return DetectorConfig.model_validate({"datasets": {"rain-made": 1.0, "haze-made": 0.5}, **short, **changes})


def parts(sets: dict[Path, float], split: str) -> dict[Path, float]:
    """The folders of one split."""
    return {folder / split: share for folder, share in sets.items()}
