"""The tiny trainings of tests/training, for those that carry and watch them, and a wait for another process."""

import threading
from pathlib import Path

from tests.faults.conftest import small_disk
from tests.training.conftest import make_dakd_job, make_job, undisturbed

__all__ = ["make_dakd_job", "make_job", "small_disk", "undisturbed"]


def wait_for(path: Path) -> None:
    """Returns once another process has made `path`; fails after 5 minutes."""
    turn = threading.Event()
    for _ in range(6000):
        if path.exists():
            return
        turn.wait(0.05)
    raise AssertionError(f"nobody made {path}")
