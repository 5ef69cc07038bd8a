"""CPU seconds and peak memory of MADF's dynamic filters, as weighted ordinary convolutions and in the direct form.

The direct form is the definition of madf.md, as the tests write it out: one filter bank per position. Both forms have
the paper's width and random weights. Each case runs in its own process on one core; the two forms alternate. Memory is
the peak growth of the process on top of the loaded network; seconds are the minimum of the repeats.

python tests/bench/madf.py data/bench/madf.json
"""

import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1")

import torch
from torch import Tensor

from restorekit.files import write_json
from restorekit.models import create_model

REPEATS = {"forward": 3, "forward + backward": 2}
SIDES = (256, 512)
OPPONENT = "direct form"


def main() -> None:
    if sys.argv[1] == "--case":
        print(json.dumps(_measure(*json.loads(sys.argv[2]))))
        return
    rows = []
    for side in SIDES:
        for work, repeats in REPEATS.items():
            ours, theirs = _in_process(work, side, "ours"), _in_process(work, side, "direct")
            name = f"{work}, {side} x {side}"
            for key, unit in (("seconds", "CPU s"), ("mib", "MiB at the peak")):
                rows.append(_row(name, unit, ours[key], theirs[key], repeats))
                against = f"{OPPONENT}: {theirs[key]:9.3f}, ratio {rows[-1]['ratio']}"
                print(f"{name:44} {unit:16} {ours[key]:9.3f}  {against}")
    write_json(Path(sys.argv[1]), {"machine": _machine(), "rows": rows})


def _row(case: str, unit: str, ours: float, theirs: float, count: int) -> dict[str, Any]:
    return {
        "case": case, "unit": unit, "better": "lower", "ours": round(ours, 3), "opponent": OPPONENT,
        "theirs": round(theirs, 3), "ratio": round(theirs / ours, 2), "n": count,
    }  # fmt: skip


def _in_process(work: str, side: int, form: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--case", json.dumps([work, side, form])], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(work: str, side: int, form: str) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image, mask = torch.randn(1, 3, side, side), torch.ones(1, 3, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 0
    forward, parameters = _direct() if form == "direct" else _ours()
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak memory
    seconds = []
    for _ in range(REPEATS[work]):
        for value in parameters:
            value.grad = None
        began = time.process_time()
        if work == "forward":
            with torch.no_grad():
                forward(image, mask)
        else:
            torch.stack([output.square().mean() for output in forward(image, mask)]).sum().backward()
        seconds.append(time.process_time() - began)
    return {"seconds": min(seconds), "mib": _memory("VmHWM") - before}


def _ours() -> tuple[Callable[[Tensor, Tensor], Any], list[Tensor]]:
    model = create_model("madf").train()
    return lambda image, mask: model(image, mask).outputs, list(model.parameters())


def _direct() -> tuple[Callable[[Tensor, Tensor], Any], list[Tensor]]:
    path = Path(__file__).parents[1] / "models" / "test_madf_released.py"
    spec = importlib.util.spec_from_file_location("released_madf", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = module.authors_weights(64, 2, torch.float32)
    learnt = [value.requires_grad_() for key, value in weights.items() if "running" not in key and "num_" not in key]
    return lambda image, mask: module.released(weights, image, mask, 2, True), learnt


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def _machine() -> dict[str, Any]:
    model = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "")
    return {"processor": model, "cores_used": 1, "python": platform.python_version(), "torch": torch.__version__}


def _cpu_lines() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


if __name__ == "__main__":
    main()
