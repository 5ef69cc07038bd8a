"""Failures around a training: each is reported in a sentence, costs no state, and does not hang."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.training.loop import Report, train
from restorekit.training.state import StateStore
from tests.distributed.conftest import wait_for
from tests.training.conftest import ALONE, MakeJob, Undisturbed, assert_equal, final, run


def test_a_full_disk_is_reported_and_the_state_before_it_kept(
    make_job: MakeJob, undisturbed: Undisturbed, small_disk: Path
) -> None:
    job = replace(make_job(), state=small_disk / "state")
    whole, _ = undisturbed()
    filler = small_disk / "filler"

    def fill_after_3(report: Report) -> None:
        if report.saving and report.step == 6:
            with filler.open("wb") as file:
                file.write(bytes(shutil.disk_usage(small_disk).free))

    with pytest.raises(RestorekitError, match=r"^the state of step 6 could not be written to .*No space.*: make room"):
        train(job, ALONE, fill_after_3)
    assert [path.name for path in job.state.iterdir() if path.is_dir()] == ["step-00000003"]
    filler.unlink()
    run(job)
    assert_equal(final(job), final(whole))


def test_a_shard_damaged_during_the_training_is_named_and_the_state_kept(make_job: MakeJob, tmp_path: Path) -> None:
    whole, job = make_job("whole", steps=9), make_job(steps=9)
    run(whole)
    copied = tmp_path / "copied"
    shutil.copytree(job.shards, copied)
    victim = copied / "train" / "1.tar"
    sound = victim.read_bytes()
    job = replace(job, shards=copied)

    def damage_after_6(report: Report) -> None:  # where the first epoch ends
        if report.saving and report.step == 6:
            victim.write_bytes(sound[:600] + b"?" + sound[601:])

    with pytest.raises(RestorekitError, match=r"1\.tar (is not the one|cannot be decoded).*: run `dvc"):
        train(job, ALONE, damage_after_6)
    assert (StateStore(job.state).latest_step() or 0) >= 6
    victim.write_bytes(sound)
    run(job)
    assert_equal(final(job), final(whole))


DRIVER = """
import json, sys
from functools import partial
from pathlib import Path
from restorekit.cluster import ray_cluster
from restorekit.entry import run_entry
from restorekit.distributed.ray_train import fit
from restorekit.training.job import Job

class Staying:
    def __init__(self, folder):
        self.folder = folder
    def log_metrics(self, values, step):
        if step == 5:
            (self.folder / "reached").touch()
            import threading
            threading.Event().wait(600)
    def log_picture(self, name, image, step):
        return

def main():
    with ray_cluster():
        fit(Job.from_json(json.loads(Path(sys.argv[1]).read_text())), partial(Staying, Path(sys.argv[2])))

run_entry(main)
"""


@pytest.mark.slow
def test_a_lost_head_node_ends_the_training_with_a_message(make_job: MakeJob, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    job = make_job()
    (tmp_path / "job.json").write_text(json.dumps(job.to_json()))
    (tmp_path / "driver.py").write_text(DRIVER)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
    address = cluster.address
    try:
        driver = subprocess.Popen(
            [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "job.json"), str(tmp_path)],
            env={**os.environ, "RAY_ADDRESS": address},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(tmp_path / "reached")
        cluster.head_node.kill_gcs_server()
        _, printed = driver.communicate(timeout=180)
    finally:
        cluster.shutdown()
    assert driver.returncode == 1
    assert f"the head node at {address} is lost: start the cluster again" in printed
    assert "a state of step 3 is kept: run the same command to go on from it" in printed
    assert StateStore(job.state).latest_step() == 3
