"""`make bench-quality SETS=DIR`: models and opponents on public pairs, whole images, with a page of pictures.

SETS holds <task>/<set>/input and target with equal names. For inpainting it holds inpainting/<set>/mask, pictures that
are white where something is missing, whose names begin with a bucket (c0_...), and clean/<any>/photos/test_*. Of a set
of six or more pairs only those at odd positions judge, since the others may have chosen a model; all pairs of rain do.

Models are the shipped ones, or those named: --models shipped:rain glsgn-haze@champion ./folder. Each model and set
runs in a process of its own, which gives the seconds of an image and the process's peak of memory.

python -m tests.bench.quality data/bench/quality.json --sets DIR [--models NAME ...] [--most 60] [--threads 2]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.evaluation.slices import mean_interval
from restorekit.files import write_json
from restorekit.image import to_float, to_uint8
from restorekit.metrics.clean_metrics import measure_clean
from restorekit.metrics.perceptual import PerceptualDistance
from restorekit.metrics.protocols import score
from restorekit.paths import working_root
from restorekit.restoring.photo_file import fitted
from restorekit.rng import rng_for
from restorekit.tasks import REAL_TASKS, TASKS
from tests.bench.quality_opponents import OPPONENTS
from tests.bench.quality_page import write_page
from tests.bench.quality_sets import Case, cases_of, sets_in
from tests.bench.uhd import machine

PROTOCOLS = ("psnr_rgb", "psnr_y", "ssim_rgb")
CLEAN = 12  # images of a set that a model should leave alone
LONGEST = 512  # pixels, for the perceptual distance, whose trunk takes a second for a tenth of a megapixel
RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--models", nargs="+", help="shipped:<name>, a registered name, a folder; default: all shipped")
    parser.add_argument("--most", type=int, default=60, help="images of a set, or of a bucket of holes")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.sets, most=given.most, pictures=given.target.with_suffix(""), **given.one)))
        return
    found = sets_in(given.sets)
    if not found:
        sys.exit(f"error: no <task>/<set>/input with target is below {given.sets}")
    tables: list[dict[str, Any]] = []
    for task, name in found:
        for method in [*methods_of(task, given.models), *OPPONENTS[task]]:
            tables.append(_in_a_process(given, {"task": task, "name": name, "method": method}))
            write_json(given.target, {"machine": machine(given.threads), "tables": tables})
            write_page(given.target.with_suffix(".html"), tables)
            print(_line(tables[-1]), flush=True)
    print(f"{len(tables)} tables in {given.target} and {given.target.with_suffix('.html')}")


def methods_of(task: str, named: list[str] | None) -> list[str]:
    """The models for a task: of the shipped ones, or of those named, by their records."""
    from restorekit.tracking.named import load_named
    from restorekit.weights import PREFIX, shipped_records

    if named is None:
        return [f"{PREFIX}{name}" for name, record in shipped_records().items() if record["task"] == task]
    records = {name: load_named(name, working_root().root, beside=Path())[1] for name in named}
    return [name for name, record in records.items() if record["task"] in (task, "mixed")]


def measure(sets: Path, task: str, name: str, method: str, most: int, pictures: Path) -> dict[str, Any]:
    """The figures of one method on one set: means with intervals of the gain, and what it does to clean images."""
    restore = OPPONENTS[task][method] if method in OPPONENTS[task] else _restoring(method)
    cases = list(cases_of(sets, task, name, most))
    restored, seconds = [], []
    for case in cases:
        began = time.perf_counter()
        restored.append(restore(case.degraded, case.mask))
        seconds.append(time.perf_counter() - began)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # before the metrics, which take more
    distance = PerceptualDistance()
    rows = []
    for case, image in zip(cases, restored, strict=True):
        before, after = (
            {
                **score(found, case.clean, PROTOCOLS),
                "lpips": distance(fitted(found, LONGEST), fitted(case.clean, LONGEST)),
            }
            for found in (case.baseline, image)
        )
        rows.append({"key": case.key, "scene": case.scene, "before": before, "after": after})
        _keep_picture(pictures, f"{task}-{name}-{method}-{case.key}", case, image)
    untouched = [] if TASKS[task].takes_mask else cases[:CLEAN]
    harm = [measure_clean(restore(case.clean, None), case.clean) for case in untouched]
    named = {"task": task, "set": name, "method": method, "pictures": pictures.name, "n": len(rows)}
    times = {"seconds": float(np.median(seconds)), "gib": gib}
    return {**named, **times, "scores": _scores(rows), "clean": _clean(harm), "rows": rows}


def _scores(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of every protocol: the means before and after, and the mean gain with its interval."""
    scenes = [row["scene"] for row in rows]
    scores = {}
    for protocol in (*PROTOCOLS, "lpips"):
        before, after = (np.array([row[when][protocol] for row in rows]) for when in ("before", "after"))
        interval = mean_interval(after - before, scenes, rng_for(0, "quality", protocol), RESAMPLES)
        means = {"before": float(before.mean()), "after": float(after.mean()), "gain": float((after - before).mean())}
        scores[protocol] = {**means, "ci95": interval}
    return scores


def _clean(harm: list[dict[str, float | None]]) -> dict[str, float]:
    """The mean of each figure of clean images, over those that have it."""
    known = {figure: [value for one in harm if (value := one[figure]) is not None] for figure in (harm or [{}])[0]}
    return {figure: float(np.mean(values)) for figure, values in known.items()}


def _restoring(method: str) -> Any:
    from restorekit.inference import Restorer
    from restorekit.tracking.named import load_named

    model, _ = load_named(method, working_root().root, beside=Path())
    restorer = Restorer(model)

    def restore(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        return to_uint8(restorer.restore(to_float(image), None if mask is None else mask.astype(np.float32)))

    return restore


def _keep_picture(folder: Path, name: str, case: Case, restored: np.ndarray) -> None:
    from restorekit.image import encode_rgb

    folder.mkdir(parents=True, exist_ok=True)
    joined = np.concatenate([case.baseline, restored, case.clean], axis=1)
    file = folder / f"{name.replace('/', '_').replace(':', '_')}.jpg"
    file.write_bytes(encode_rgb(np.ascontiguousarray(joined), "jpeg", 88))


def _in_a_process(given: argparse.Namespace, one: dict[str, Any]) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "tests.bench.quality",
        str(given.target),
        "--sets",
        str(given.sets),
        "--most",
        str(given.most),
    ]
    values = {**os.environ, "OMP_NUM_THREADS": str(given.threads), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*command, "--most", str(given.most), "--one", json.dumps(one)],
        capture_output=True,
        text=True,
        env=values,
        check=False,
    )
    if done.returncode:
        sys.exit(f"error: {one['method']} on {one['name']}: {done.stderr.strip() or 'no output'}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _line(table: dict[str, Any]) -> str:
    psnr = table["scores"]["psnr_rgb"]
    low, high = psnr["ci95"]
    harm = f", clean {table['clean']['clean_psnr']:.1f} dB" if table["clean"] else ""
    return (
        f"{table['task']}/{table['set']} {table['method']}: {psnr['before']:.2f} -> {psnr['after']:.2f} dB, "
        f"{psnr['gain']:+.2f} ({low:.2f} to {high:.2f}), n {table['n']}{harm}, {table['seconds']:.2f} s"
    )


assert set(OPPONENTS) == set(REAL_TASKS)

if __name__ == "__main__":
    main()
