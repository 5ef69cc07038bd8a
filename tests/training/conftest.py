"""A training small enough to be run many times."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from restorekit.config import DmgnRun, TrainConfig
from restorekit.training.job import Job

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tiny_shards: Path, tmp_path: Path) -> MakeJob:
    def make(state: str = "state", objective: dict[str, Any] | None = None, width: int = 2, **changes: Any) -> Job:
        settings = {
            "steps": 8, "batch_size": 4, "crop": 24, "lr": 0.01, "precision": "fp32", "threads_per_worker": 1,
            "checkpoint_every": 3, "log_every": 1, "validate_every": 8, "grad_clip": 50.0,
        }  # fmt: skip
        spec = DmgnRun.model_validate(
            {
                "model": "dmgn",
                "dataset": "rain",
                "options": {"variant": "rain", "width": width, "trunk": "none", "init": "he", "zero_last": True},
                "objective": {"pixel": "huber"} | (objective or {}),
            }
        )
        config = TrainConfig.model_validate(settings | changes)
        return Job("dmgn-rain", "rain", 5, spec, config, tiny_shards, tmp_path / state)

    return make
