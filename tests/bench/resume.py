"""`make bench`: seconds from a `kill -9` of a training, driver and workers, to the next step of the restarted one.

For comparison it measures Ray alone: the start of the same cluster with one Ray Train worker that only imports torch.
The difference is our own: imports, the MLflow run, loading and checking state and shards, the first batch.

python tests/bench/resume.py data/bench/resume.json
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1", RAY_USAGE_STATS_ENABLED="0")
os.environ.pop("RAY_ADDRESS", None)
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import psutil
import yaml
from loader import _machine, make_shards

from restorekit.distributed.figures import read_curves
from restorekit.files import write_json

ROOT = Path(__file__).parents[2]
RUN, REPEATS, LIMIT_S = "dmgn-rain", 2, 240.0
BARE = """
from restorekit.cluster import ray_cluster
def work():
    import torch
    open({path!r}, "w").write("begun")
with ray_cluster(num_cpus=2):
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    scaling = ScalingConfig(num_workers=1, resources_per_worker={{"CPU": 2}})
    TorchTrainer(work, scaling_config=scaling, run_config=RunConfig(name="bare", storage_path={storage!r})).fit()
"""


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for split, sizes in (("train", (96,) * 8), ("val", (4,))):
            make_shards(root / "data" / "shards" / "rain" / split, sizes, "png", 144)
        _write_params(root)
        running, _ = _train_until(root, 3)
        resumed, bare, lost = [], [], []
        try:
            for number in range(REPEATS):
                before = _last_step(root)
                began = time.perf_counter()
                _kill(running)
                running, step = _train_until(root, None)
                resumed.append(time.perf_counter() - began)
                lost.append(max(0, before + 1 - step))
                bare.append(_bare(root / f"bare-{number}"))
        finally:
            _kill(running)
    whole, ray = float(np.median(resumed)), float(np.median(bare))
    rows = [
        _row("kill -9 to the next optimiser step", whole, "Ray's start alone", ray),
        _row("difference, our own part", whole - ray),
        {**_row("steps repeated, with a state every step", float(np.median(lost))), "unit": "steps"},
    ]
    write_json(target, {"machine": _machine(), "rows": rows})
    for row in rows:
        print(f"{row['case']:52} {row['ours']:9g} {row['unit']}")
    print(f"{len(rows)} rows in {target}")


def _write_params(root: Path) -> None:
    """Writes the project's parameters with a run that does not end and saves a state after every step."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    run = yaml.safe_load((ROOT / "pipelines" / "more" / "params.yaml").read_text())["runs"][RUN]
    endless = {"steps": 100_000, "checkpoint_every": 1, "log_every": 1, "validate_every": 100_000}
    params["runs"][RUN] = {**run, "train": {**run.get("train", {}), **endless}}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _train_until(root: Path, step: int | None) -> tuple[subprocess.Popen[bytes], int]:
    """Starts the stage; returns it and its first step once it has made `step`, or without `step` its first step."""
    curves = _curves(root)
    before = curves.stat().st_ino if curves else None  # a resumed training writes the file anew
    with (root / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.train", "--run", RUN],
            cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
        )  # fmt: skip
    kept, deadline = None, time.perf_counter() + LIMIT_S
    while time.perf_counter() < deadline and process.poll() is None:
        curves = _curves(root)
        if curves is not None and curves.stat().st_ino != before:
            last = _last_step(root)
            kept = last if kept is None else kept
            if last >= (kept + 1 if step is None else step):
                return process, kept + 1
        time.sleep(0.02)
    _kill(process)
    raise SystemExit("the training did not reach its next step:\n" + (root / "log.txt").read_text()[-2000:])


def _bare(folder: Path) -> float:
    """Seconds from the start of a process to a Ray Train worker that has imported torch."""
    folder.mkdir()
    began, begun = time.perf_counter(), folder / "begun"
    program = BARE.format(path=str(begun), storage=str(folder / "ray"))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not begun.exists() and process.poll() is None and time.perf_counter() < began + LIMIT_S:
        time.sleep(0.02)
    spent = time.perf_counter() - began
    _kill(process)
    if not begun.exists():
        raise SystemExit("a bare Ray Train worker did not start")
    return spent


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the driver and all processes that it started, at once."""
    try:
        everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        everyone = []
    for one in everyone:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    psutil.wait_procs(everyone[1:], timeout=10)


def _curves(root: Path) -> Path | None:
    found = list((root / "data" / "state").glob(f"{RUN}-*/curves.csv"))
    return found[0] if found else None


def _last_step(root: Path) -> int:
    curves = _curves(root)
    rows = read_curves(curves) if curves else []
    return max((step for step, name, _ in rows if name == "loss"), default=0)


def _row(case: str, ours: float, opponent: str | None = None, theirs: float | None = None) -> dict[str, Any]:
    return {
        "case": case, "unit": "s", "better": "lower", "ours": round(ours, 2), "opponent": opponent,
        "theirs": None if theirs is None else round(theirs, 2), "ratio": None, "n": REPEATS,
    }  # fmt: skip


if __name__ == "__main__":
    main()
