"""`make bench-uhd`: time and peak memory of 4K and 8K frames in GLSGN and in the networks for comparison.

"ours" is GLSGN streamed, at the paper's width by default. Opponents are the same network unstreamed, and one path's
backbone on the whole frame, on the 16 patches of path 1, and on the frame at a quarter of the scale. The backbone has
a quarter of the parameters and does less work, so the only ratio is against the unstreamed network. Each case runs in
its own process and gives CPU seconds of all threads and wall-clock seconds for the first frame, and peak resident
memory including Python and torch. A case that needs more memory than is free is left out, with a message.

python tests/bench/uhd.py data/bench/uhd.json [--sizes 4K 8K] [--precisions fp32 bf16] [--width 32] [--threads 2]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from restorekit.files import write_json

SIZES = {"384 x 256": (256, 384), "4K": (2160, 3840), "8K": (4320, 7680)}
OPPONENTS = {
    "the same, unstreamed": {"design": "stepwise", "streamed": False},
    "backbone, whole frame": {"design": "whole", "streamed": False},
    "backbone, 16 tiles": {"design": "tiles", "streamed": True},
    "backbone, frame scaled down": {"design": "reduced", "streamed": False},
}
OURS = {
    "GLSGN streamed": {"design": "stepwise", "streamed": True, "hold": True},
    "GLSGN streamed, last stage computed twice": {"design": "stepwise", "streamed": True, "hold": False},
}
UNITS = {"cpu_s": "CPU s a frame", "wall_s": "s a frame", "gib": "GiB at the peak"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["4K", "8K"])
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    rows: list[dict[str, Any]] = []
    for size in given.sizes:
        for precision in given.precisions:
            rows += _rows(size, precision, given.width, given.threads)
            write_json(given.target, {"machine": machine(given.threads), "rows": rows})
    print(f"{len(rows)} rows in {given.target}")


def _rows(size: str, precision: str, width: int, threads: int) -> list[dict[str, Any]]:
    case = {"size": size, "precision": precision, "width": width, "threads": threads}
    theirs = {name: _in_a_process(name, {**case, **how}) for name, how in OPPONENTS.items()}
    rows = []
    for name, how in OURS.items():
        found = _in_a_process(name, {**case, **how})
        for unit, says in UNITS.items() if found else ():
            for opponent, other in theirs.items():
                same = opponent == "the same, unstreamed" and bool(other)
                rows.append(
                    {
                        "case": f"{name}, {size}, {precision}, width {width}", "unit": says, "better": "lower",
                        "ours": found[unit], "opponent": opponent, "theirs": other.get(unit),
                        "ratio": round(other[unit] / found[unit], 3) if same else None, "n": 1,
                    }
                )  # fmt: skip
    return rows


def _in_a_process(name: str, how: dict[str, Any]) -> dict[str, float]:
    """The result of `measure` in a new process; an empty dictionary if the process failed."""
    command = [sys.executable, __file__, os.devnull, "--one", json.dumps(how)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    shown = (
        ", ".join(f"{value:g} {UNITS[unit]}" for unit, value in found.items() if unit in UNITS)
        or (done.stderr.strip().splitlines() or ["ended by the system: too little memory"])[-1]
    )
    print(f"{name}, {how['size']}, {how['precision']}, width {how['width']}: {shown}", flush=True)
    return found


def measure(how: dict[str, Any]) -> dict[str, float]:
    """Seconds and memory of one frame through one network in this process."""
    import torch

    from restorekit.models import create_model
    from restorekit.models.glsgn.streaming import StreamSettings

    torch.set_num_threads(how["threads"])
    torch.manual_seed(0)
    height, width = SIZES[how["size"]]
    model: Any = create_model("glsgn", width=how["width"], design=how["design"]).eval()
    if not how["streamed"]:
        _require(model.descriptor.bytes_per_pixel * height * width)
    image = torch.rand(1, 3, height, width)
    torch_and_image = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=how["precision"] == "bf16"):
        if how["streamed"]:
            restored = model.stream(image, StreamSettings(how.get("hold", True))).restored
        else:
            restored = model(image).restored
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert torch.isfinite(restored).all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "gib": round(peak / 2**20, 3),
        "gib_before": round(torch_and_image / 2**20, 3),
    }  # fmt: skip


def _require(needed: int) -> None:
    from restorekit.models.memory import available_bytes

    free = available_bytes()
    if needed > 0.9 * free:
        raise SystemExit(f"left out: about {needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} are free")


def machine(threads: int) -> dict[str, Any]:
    """Processor and versions that times belong to."""
    import torch

    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(), "cores": os.cpu_count(), "threads": threads,
        "python": platform.python_version(), "torch": torch.__version__.split("+")[0],
    }  # fmt: skip


if __name__ == "__main__":
    main()
