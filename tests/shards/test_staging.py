"""Processes that make shards: an error of one has its own words, a killed one costs its shards, none is left behind."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

from restorekit.errors import RestorekitError
from restorekit.paths import Paths
from restorekit.shards.staging import write_dataset
from restorekit.sources.photo_index import SplitName


@dataclass(frozen=True)
class Numbers:
    """A recipe of three shards with a sample each; at the second one something happens."""

    happens: str = "nothing"
    name: str = "numbers"
    task: str = "rain"
    split: SplitName = "train"
    num_shards: int = 3

    def samples(self, shard: int, source: Path, /) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        if shard == 1 and self.happens == "refusal":
            raise RestorekitError("the photograph is not the one of the manifest")
        if shard == 1 and self.happens == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if shard == 1 and self.happens == "wait":
            (source / "pid").write_text(str(os.getpid()))
            threading.Event().wait()
        yield str(shard), {"json": b"{}"}

    def digest_values(self) -> dict[str, Any]:
        return {}


def write(recipe: Numbers, root: Path) -> dict[str, bytes]:
    write_dataset("numbers", [recipe], root, "digest", 2, Paths(root))
    folder = Paths(root).shards("numbers")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "happens, says",
    [
        ("refusal", "^the photograph is not the one of the manifest$"),
        ("kill", "ended from outside.*lower synthesize.num_workers and run the same command again"),
    ],
)
def test_a_failure_is_told_in_a_sentence_and_the_same_command_goes_on(tmp_path: Path, happens: str, says: str) -> None:
    with pytest.raises(RestorekitError, match=says):
        write(Numbers(happens), tmp_path / "failed")
    assert not Paths(tmp_path / "failed").shards("numbers").exists()
    assert write(Numbers(), tmp_path / "failed") == write(Numbers(), tmp_path / "whole")


def test_a_process_ends_with_a_killed_stage(tmp_path: Path) -> None:
    stage = get_context("spawn").Process(target=write, args=(Numbers("wait"), tmp_path))
    stage.start()
    turn = threading.Event()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert stage.is_alive()
        turn.wait(0.05)
    process = psutil.Process(int((tmp_path / "pid").read_text()))
    stage.kill()
    process.wait(timeout=300)
    stage.join()
