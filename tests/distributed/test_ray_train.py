"""Ray Train's workers: the gradient of the whole batch; a killed one costs a few steps; its errors in its own words."""

import os
import platform
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from restorekit.distributed.figures import read_curves
from restorekit.distributed.ray_train import fit
from restorekit.errors import RestorekitError
from restorekit.training.state import StateStore
from tests.training.conftest import MakeJob, assert_equal, final, run


@pytest.mark.usefixtures("two_cpus")
def test_two_workers_learn_what_one_does(make_job: MakeJob) -> None:
    """With all 22 samples in a step, both see the same batch, in any order."""
    settings = {"batch_size": 22, "steps": 2, "crop": 32}
    one, two = make_job("one", **settings), make_job("two", num_workers=2, **settings)
    figures = {report.step: report.metrics for report in run(one) if "loss" in report.metrics}
    fit(two)
    rows = {(step, name): value for step, name, value in read_curves(two.state / "curves.csv")}
    for step in (1, 2):
        assert rows[step, "loss"] == pytest.approx(figures[step]["loss"], rel=1e-4)
        assert rows[step, "grad_norm"] == pytest.approx(figures[step]["grad_norm"], rel=1e-2)
    state = StateStore(two.state).load_latest()
    assert state is not None
    assert (state.step, state.cursor.epoch, state.cursor.batch_size) == (2, 1, 22)


class KillOnce:
    """A logger that kills its process, as a lost node would, the first time that it receives a certain step."""

    def __init__(self, folder: Path, step: int) -> None:
        self._mark, self._step = folder / "mark", step

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        if step == self._step and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def log_picture(self, name: str, image: np.ndarray, step: int) -> None:
        return


@pytest.mark.usefixtures("two_cpus")
def test_a_killed_worker_is_replaced_and_ends_with_the_same_weights(make_job: MakeJob, tmp_path: Path) -> None:
    whole, killed = make_job("whole"), make_job("killed")
    run(whole)
    fit(killed, partial(KillOnce, tmp_path, 5))
    assert (tmp_path / "mark").exists()
    assert_equal(final(killed), final(whole))
    steps = Counter(step for step, name, _ in read_curves(killed.state / "curves.csv") if name == "loss")
    assert steps == Counter(range(1, 9))
    assert "resumed at step 3 of 8" in (killed.state / "events.log").read_text()


@pytest.mark.usefixtures("two_cpus")
def test_an_error_of_a_worker_is_reported_in_its_own_words(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(num_workers=2)
    copied = tmp_path / "copied"
    shutil.copytree(job.shards, copied)
    victim = copied / "train" / "1.tar"
    victim.write_bytes(victim.read_bytes()[::-1])
    broken = replace(job, shards=copied)
    with pytest.raises(RestorekitError, match=r"^shard .*1\.tar is not the one its manifest names"):
        fit(broken)


FAULTS = """
import resource
import numpy as np
from restorekit.cluster import keep_freed_memory
if {kept}:
    keep_freed_memory(2**30, 2**30)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(8_000_000)
before = faults()
for _ in range(10):
    np.ones(8_000_000)
print(faults() - before)
"""


def page_faults(kept: bool) -> int:
    """The page faults of a process that makes and frees ten arrays of 64 MB."""
    done = subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not set")
def test_freed_blocks_are_used_again() -> None:
    assert page_faults(kept=True) < page_faults(kept=False) / 4
