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
from restorekit.training.job import Job
from restorekit.training.state import StateStore
from tests.training.conftest import MakeJob, assert_equal, final, run, tiny_job
from tests.training.ranks import do, learning

SETTINGS = {"batch_size": 22, "crop": 32}


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


@pytest.fixture(scope="module")
def killed(two_cpus: None, tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A training of two workers, of which the first is killed at step 5; with all 22 samples in each step."""
    folder = tmp_path_factory.mktemp("killed")
    job = tiny_job(tiny_shards, folder, "killed", **SETTINGS, num_workers=2)
    fit(job, partial(KillOnce, folder, 5))
    assert (folder / "mark").exists()
    return job


def test_two_workers_learn_what_one_does(make_job: MakeJob, killed: Job) -> None:
    """Both see the same batch in each step, in any order."""
    figures = {report.step: report.metrics for report in run(make_job("one", **SETTINGS)) if "loss" in report.metrics}
    rows = {(step, name): value for step, name, value in read_curves(killed.state / "curves.csv")}
    for step in (1, 2):
        assert rows[step, "loss"] == pytest.approx(figures[step]["loss"], rel=1e-4)
        assert rows[step, "grad_norm"] == pytest.approx(figures[step]["grad_norm"], rel=1e-2)
    state = StateStore(killed.state).load_latest()
    assert state is not None
    assert (state.step, state.cursor.epoch, state.cursor.batch_size) == (8, 7, 22)


def test_a_killed_worker_is_replaced_and_ends_with_the_same_weights(
    make_job: MakeJob, killed: Job, tmp_path: Path
) -> None:
    whole = make_job("whole", **SETTINGS, num_workers=2)
    do(tmp_path, learning(whole, 2))
    assert_equal(final(killed), final(whole))
    steps = Counter(step for step, name, _ in read_curves(killed.state / "curves.csv") if name == "loss")
    assert steps == Counter(range(1, 9))
    assert "resumed at step 3 of 8" in (killed.state / "events.log").read_text()


@pytest.mark.usefixtures("two_cpus")
def test_the_error_of_a_too_small_cluster_has_the_arithmetic(make_job: MakeJob) -> None:
    job = make_job(num_workers=2, threads_per_worker=3)
    with pytest.raises(RestorekitError, match=r"2 workers x 3 CPU = 6 CPUs, the cluster has 2"):
        fit(job)
    assert StateStore(job.state).latest_step() is None


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
