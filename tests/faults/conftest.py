"""A small disk to fill, the tiny trainings of tests/training, and the working root of tests/pipelines."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.conftest import empty_store, params, paths, write_model
from tests.training.conftest import make_job

__all__ = ["empty_store", "make_job", "params", "paths", "write_model"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
