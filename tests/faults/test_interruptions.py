"""Faults that take minutes to show: stages killed at random moments, little shared memory, two commands at once."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.report import report
from restorekit.config import Params
from restorekit.paths import Paths
from restorekit.rng import rng_for
from restorekit.sources import collect_photographs
from restorekit.tracking.versions import versions_of
from tests.distributed.conftest import wait_for
from tests.faults.test_disks import contents
from tests.shipped import ROOT

RUN = "dmgn-rain"
FORK = multiprocessing.get_context("fork")  # a killed process costs no imports


def killed(stage: Callable[[], Any], after_s: float) -> bool:
    """Whether a process that runs `stage` was killed before its end."""
    process = FORK.Process(target=stage)
    process.start()
    process.join(after_s)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("name", ["photos", "evaluate", "promote", "report"])
def test_a_stage_killed_at_random_moments_ends_as_one_that_was_not(
    params: Params,
    paths: Paths,
    write_model: Callable[..., None],
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    write_model(24.0)

    def stages(paths: Paths) -> dict[str, Callable[[], Any]]:
        return {
            "photos": lambda: collect_photographs(params.photos, paths.root, paths.root / "collected"),
            "evaluate": lambda: evaluate(RUN, params, paths),
            "promote": lambda: promote(params, paths),
            "report": lambda: report(params, paths),
        }

    def output(paths: Paths) -> Path:
        made = {"photos": paths.root / "collected", "evaluate": paths.evaluation(RUN), "promote": paths.promotions}
        return made.get(name, paths.report)

    for one in ("evaluate", "promote"):
        if list(stages(paths)).index(one) < list(stages(paths)).index(name):
            stages(paths)[one]()
    undisturbed = Paths(tmp_path_factory.mktemp("undisturbed"))
    shutil.copytree(paths.root, undisturbed.root, dirs_exist_ok=True)
    began = time.monotonic()
    stages(undisturbed)[name]()
    whole_s, whole = time.monotonic() - began, contents(output(undisturbed))
    assert whole
    rng = rng_for(6, name)
    was_killed = [killed(stages(paths)[name], float(rng.uniform(0, whole_s))) for _ in range(8)]
    assert any(was_killed)
    stages(paths)[name]()
    if name == "promote":  # a killed one may have promoted the model before it wrote the log
        (row,) = json.loads((paths.promotions / "decisions.json").read_text())["current"]
        assert (row["alias"], row["version"]) == ("champion", 1)
    else:
        assert contents(output(paths)) == whole
    if name in ("evaluate", "promote"):
        versions = versions_of(RUN, paths.root)
        assert [version.version for version in versions] == [1]
        assert ("champion" in versions[0].aliases) == (name == "promote")


SMALL_MEMORY = """
import json, sys
from pathlib import Path
import psutil
from restorekit.cluster import ray_cluster
from restorekit.shards.plan import begin_epoch
from restorekit.shards.staging import _write_on_cluster
from restorekit.training.batches import train_batches
from tests.faults.test_disks import Noise

def main(shards, folder):
    with ray_cluster(1):
        _write_on_cluster([(Noise(), 0)], folder, folder, 1)
    read = train_batches({shards: 1.0}, begin_epoch(0, 22, 4), (0, 1), 2, 5, 24, ())
    batches = [next(read) for _ in range(40)]
    print(json.dumps({"shm": psutil.disk_usage("/dev/shm").total, "batches": len(batches)}))

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_shards_are_written_and_read_with_64_mb_of_shared_memory(tiny_shards: Path, tmp_path: Path) -> None:
    """As in a container that was started without --shm-size."""
    (tmp_path / "small.py").write_text(SMALL_MEMORY)
    (tmp_path / "out").mkdir()
    command = (
        'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$0" "$1" "$2" "$3"',
        sys.executable, tmp_path / "small.py", tiny_shards / "train", tmp_path / "out",
    )  # fmt: skip
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a mount of its own needs root")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"shm": 64 * 2**20, "batches": 40}
    assert (tmp_path / "out" / "train" / "rain-train-00000.tar").is_file()


STAGE = """
stages:
  wait:
    cmd: touch started && until [ -e go ]; do sleep 0.1; done && echo done > out
    outs: [out]
"""


@pytest.mark.slow
def test_of_two_dvc_repro_at_once_one_is_refused_and_the_other_ends_well(tmp_path: Path) -> None:
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(STAGE)
    first = subprocess.Popen([*dvc, "repro"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "started")
    second = subprocess.run([*dvc, "repro"], cwd=tmp_path, capture_output=True, text=True, check=False)
    (tmp_path / "go").touch()
    _, printed = first.communicate(timeout=120)
    assert first.returncode == 0, printed
    assert second.returncode != 0
    assert "lock" in second.stderr or "busy" in second.stderr, second.stderr
    assert (tmp_path / "out").read_text() == "done\n"


STARTING = """
from restorekit.cluster import ray_cluster
from restorekit.entry import run_entry

def main():
    with ray_cluster(1):
        print("started")

run_entry(main)
"""


@pytest.mark.slow
def test_a_ray_that_does_not_start_in_time_is_one_line(tmp_path: Path) -> None:
    """Its node is stopped as soon as it appears, as on a machine whose cores others hold; Ray waits half a minute."""
    (tmp_path / "start.py").write_text(STARTING)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("RAY_ADDRESS", None)
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "start.py")], env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stopped: list[psutil.Process] = []
    family = psutil.Process(driver.pid)
    while driver.poll() is None and not stopped:
        stopped = [one for one in family.children(recursive=True) if one.name().startswith("raylet")]
    for one in stopped:
        one.suspend()
    try:
        out, printed = driver.communicate(timeout=240)
    finally:
        for one in stopped:
            one.kill()
    assert stopped, printed
    assert (driver.returncode, out) == (1, "")
    line = printed.strip().splitlines()[-1]
    assert line.startswith("error: Ray does not start on this machine")
    assert line.endswith("wait and run the same command again")
    assert "Traceback" not in printed
