"""Long runs in one process: memory does not grow."""

import gc
from collections.abc import Callable

import numpy as np
import psutil
import pytest
import torch

from restorekit.inference import Restorer
from restorekit.models import create_model
from restorekit.rng import rng_for
from restorekit.training.loop import Report, train
from tests.training.conftest import ALONE, MakeJob

ALLOWED_BYTES = 24 * 2**20  # of the allocators' and caches' last pages; a leak of a tiny image a turn would be more


def in_use() -> int:
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)


def grown(turn: Callable[[int], None], turns: int) -> int:
    """The bytes by which the process grows over the last three quarters of `turns`."""
    before = 0
    for number in range(turns):
        turn(number)
        if number == turns // 4:
            before = in_use()
    return in_use() - before


@pytest.mark.slow
@pytest.mark.parametrize("memory_bytes", [None, 3 * 2**20], ids=["whole", "tiles"])
def test_five_hundred_restores_do_not_grow(memory_bytes: int | None) -> None:
    """Photos of 50 sizes, so that what is kept for each size is seen, too."""
    torch.manual_seed(0)
    restorer = Restorer(create_model("dmgn", variant="rain", width=2, trunk="none"), "cpu", memory_bytes)

    def restore(number: int) -> None:
        side = 64 + number % 50
        restorer.restore(rng_for(0, number).random((side, 96, 3), dtype=np.float32))

    assert grown(restore, 500) < ALLOWED_BYTES


@pytest.mark.slow
def test_two_thousand_steps_do_not_grow(make_job: MakeJob) -> None:
    job = make_job(steps=2000, batch_size=2, crop=17, log_every=50, validate_every=500, checkpoint_every=250)
    seen: dict[int, int] = {}

    def note(report: Report) -> None:
        if report.step % 500 == 0:
            seen[report.step] = in_use()

    train(job, ALONE, note)
    assert seen[2000] - seen[500] < ALLOWED_BYTES
