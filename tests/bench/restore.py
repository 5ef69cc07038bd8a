"""`make bench-restore`: seconds and peak memory of photos of 2 to 48 megapixels, as `restorekit restore` restores them.

Each model restores each size twice, in processes of their own: within --memory, which gives tiles or streaming, and
whole where that fits into the free memory. A row has the seconds of the restoration, the process's peak of memory with
Python, torch, the model and the photo in it, and the form that the memory led to. Where both forms ran, the row of the
tiles says how far they are apart, in steps of 8 bits: at most, on average, and the largest jump of a whole line of
pixels, which would be a seam. The photo is --photo, mirrored until it is large enough; by default one of scikit-image.

Models are shipped:<task>, registered names, or folders; those that fill holes get a mask of 5 % of the photo.

python -m tests.bench.restore data/bench/restore.json MODEL ... [--megapixels 2 12 24 48] [--memory 1.5] [--threads 2]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from restorekit.files import write_json
from restorekit.sources.packages import file_of
from tests.bench.uhd import machine

ASPECT = 4 / 3
STEPS = 65535  # of the stored results; 257 of them are a step of 8 bits
FREE = 0.8  # of the free memory that a whole photo may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--megapixels", nargs="+", type=float, default=[2, 12, 24, 48])
    parser.add_argument(
        "--memory", type=float, default=1.5, help="GiB for restoring in tiles, as of `restore --memory`"
    )
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16", "auto"), default="fp32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--photo", type=Path, default=file_of("skimage", "data/coffee.png"))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.photo, given.threads, given.precision, given.target, **given.one)))
        return
    if not given.models:
        sys.exit("error: name models: make bench-restore MODELS='shipped:rain glsgn-haze@champion ./folder'")
    rows: list[dict[str, Any]] = []
    for model in given.models:
        for megapixels in given.megapixels:
            rows += _of_size(given, model, megapixels)
            write_json(given.target, {"machine": machine(given.threads), "precision": given.precision, "rows": rows})
    print(f"{len(rows)} rows in {given.target}")


def _of_size(given: argparse.Namespace, model: str, megapixels: float) -> list[dict[str, Any]]:
    """The rows of a model and a size: within --memory, and whole."""
    rows, made = [], {}
    with TemporaryDirectory() as folder:
        for form, memory in (("tiled", given.memory), ("whole", None)):
            made[form] = Path(folder) / f"{form}.npy"
            case = {"model": model, "megapixels": megapixels, "memory": memory}
            command = [sys.executable, "-m", "tests.bench.restore", str(made[form]), "--one", json.dumps(case)]
            command += ["--photo", str(given.photo), "--threads", str(given.threads), "--precision", given.precision]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            row: dict[str, Any] = {"model": model, "megapixels": megapixels, "asked": form}
            if done.returncode == 0:
                row |= json.loads(done.stdout.splitlines()[-1])
            else:
                lines = done.stderr.strip().splitlines()
                row["left_out"] = lines[-1] if lines else f"ended by signal {-done.returncode}: too little memory"
            rows.append(row)
            print(row, flush=True)
        if all(file.exists() for file in made.values()):
            rows[0] |= apart(np.load(made["tiled"], "r"), np.load(made["whole"], "r"))
            print(rows[0], flush=True)
    return rows


def measure(
    photo: Path, threads: int, precision: Any, target: Path, model: str, megapixels: float, memory: float | None
) -> dict[str, Any]:
    """The figures of one restoration in this process; the result goes to `target` as 16-bit integers."""
    import torch

    from restorekit.inference import Restorer
    from restorekit.models.memory import available_bytes
    from restorekit.paths import working_root
    from restorekit.tracking.named import load_named

    torch.set_num_threads(threads)
    network, record = load_named(model, working_root().root, beside=Path())
    height = round((1e6 * megapixels / ASPECT) ** 0.5)
    image = enlarged(photo, height, round(height * ASPECT))
    budget = int(FREE * available_bytes()) if memory is None else int(memory * 2**30)
    restorer = Restorer(network, memory_bytes=budget, precision=precision)
    layout = restorer.layout(*image.shape[:2])
    if memory is None and (layout.num_tiles > 1 or layout.streamed):
        needed = image[..., 0].size * restorer.descriptor.bytes_per_pixel
        raise SystemExit(f"left out: {needed / 2**30:.1f} GiB for the whole, and {budget / 2**30:.1f} are free for it")
    mask = None
    if restorer.descriptor.takes_mask:
        mask = np.zeros(image.shape[:2], np.float32)
        for top in range(0, height, 400):
            for left in range(0, image.shape[1], 400):
                mask[top + 100 : top + 190, left + 150 : left + 240] = 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    restored = restorer.restore(image, mask)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(target, np.rint(restored * STEPS, out=restored).astype(np.uint16))
    return {
        "network": record["model"], "width": image.shape[1], "height": height, "tiles": layout.num_tiles,
        "tile": [layout.rows.size, layout.columns.size], "streamed": layout.streamed, "s": round(wall, 2),
        "cpu_s": round(cpu, 2), "gib": round(peak / 2**20, 3), "gib_before": round(before / 2**20, 3),
    }  # fmt: skip


def enlarged(photo: Path, height: int, width: int) -> np.ndarray:
    """The photo, mirrored at its borders until it has the size; float32 in [0, 1]."""
    from restorekit.image import read_image, to_float

    pixels = to_float(read_image(photo).pixels)[:height, :width]
    below, right = height - pixels.shape[0], width - pixels.shape[1]
    return np.ascontiguousarray(np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="symmetric"))


def apart(tiled: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """How far two restored photos (H, W, 3) are apart, in steps of 8 bits."""
    most, total, columns, rows = 0.0, 0.0, np.zeros(whole.shape[1:]), []
    for top in range(0, whole.shape[0], 256):  # in strips, because float64 copies of a large photo are large
        difference = (tiled[top : top + 256].astype(np.float32) - whole[top : top + 256]) / 257
        most = max(most, float(np.abs(difference).max()))
        total += float(np.abs(difference).sum(dtype=np.float64))
        columns += difference.sum(0)
        rows.append(difference.mean(1))
    jumps = [np.abs(np.diff(lines, axis=0)).max() for lines in (np.concatenate(rows), columns / whole.shape[0])]
    return {
        "most_apart": round(most, 3),
        "mean_apart": round(total / whole.size, 5),
        "largest_jump_of_a_line": round(float(max(jumps)), 4),
    }


if __name__ == "__main__":
    main()
