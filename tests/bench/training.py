"""`make bench-training`: the time of a step of each run of params.yaml, as set there and with one setting changed.

All settings of a run take turns in one process and so meet the same machine. The ratio (theirs / ours) is above 1 where
the setting in params.yaml is the faster one. The first step with torch.compile, which compiles, has a row of its own.
Without named runs the benchmark also compares Muon's part of a step with torch.optim.Muon.

python tests/bench/training.py data/bench/training.json [run ...]
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from restorekit.config import Params, load_params
from restorekit.files import write_json
from restorekit.models import create_model
from restorekit.models.precision import resolved
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.optimizer import MuonAdamW
from restorekit.training.world import World

REPEATS = 8
CHANGES: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": True},
    "compile": {"compile": True},
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "accumulate 2": {"accumulate": 2},
    "muon": {"optimizer": "muon"},
    "adamw": {"optimizer": "adamw"},
}
ALONE = World(0, 1, torch.device("cpu"))


def main() -> None:
    target, params = Path(sys.argv[1]), load_params(Path("params.yaml"))
    rows = [row for run in sys.argv[2:] or params.runs for row in _rows(run, params)]
    rows += [] if sys.argv[2:] else [_muon_row()]
    threads = params.train.get("threads_per_worker", 2)
    write_json(target, {"machine": {"torch": torch.__version__, "threads": threads}, "rows": rows})
    for row in rows:
        print(
            f"{row['case']:28} {row['ours']:8g} {row['unit']:12} {row['opponent']}: {row['theirs']:g}, {row['ratio']}"
        )


def _rows(run: str, params: Params) -> list[dict[str, Any]]:
    config, spec = params.training(run), params.run(run)
    torch.set_num_threads(config.threads_per_worker)
    config = config.model_copy(update={"precision": resolved(config.precision, ALONE.device)})
    learners, firsts = {}, {}
    for name, change in {"as it is": {}, **CHANGES}.items():
        if any(getattr(config, setting) == value for setting, value in change.items()):
            continue
        job = Job(run, "", 0, spec, config.model_copy(update=change), Path(), Path())
        learners[name] = Learner(job, ALONE)
        firsts[name] = _step(learners[name], 0)
    spent: dict[str, list[float]] = {name: [] for name in learners}
    for number in range(1, REPEATS + 1):
        for name, learner in learners.items():
            spent[name].append(_step(learner, number))
    medians = {name: float(np.median(times)) for name, times in spent.items()}
    return [
        {
            "case": run, "unit": unit, "better": "lower", "ours": round(values["as it is"], 1), "opponent": name,
            "theirs": round(value, 1), "ratio": round(value / values["as it is"], 2), "n": count,
        }
        for unit, values, count in (("ms a step", medians, REPEATS), ("ms first step", firsts, 1))
        for name, value in values.items()
        if name != "as it is" and (unit == "ms a step" or name == "compile")
    ]  # fmt: skip


def _muon_row() -> dict[str, Any]:
    """Milliseconds of an optimiser step of DAKD's student at the paper's width on noise: ours and torch's Muon."""
    weights = [weight for weight in create_model("dakd").student.parameters() if 1 < len(weight) < weight.numel()]
    matrices = [nn.Parameter(weight.detach().clone().flatten(1)) for weight in weights]
    sides = {
        "ours": (weights, MuonAdamW(weights, 1e-3, (0.9, 0.999), 0.0)),
        "torch.optim.Muon": (matrices, torch.optim.Muon(matrices, 1e-3, 0.0, adjust_lr_fn="match_rms_adamw")),
    }
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(REPEATS + 1):  # the first step allocates the momenta
        for name, (parameters, optimizer) in sides.items():
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter)
            began = time.perf_counter()
            optimizer.step()
            spent[name].append(1e3 * (time.perf_counter() - began))
    ours, theirs = (float(np.median(times[1:])) for times in spent.values())
    return {
        "case": "Muon, dakd", "unit": "ms a step", "better": "lower", "ours": round(ours, 1),
        "opponent": "torch.optim.Muon", "theirs": round(theirs, 1), "ratio": round(theirs / ours, 2), "n": REPEATS,
    }  # fmt: skip


def _step(learner: Learner, number: int) -> float:
    """Wall-clock milliseconds of one update on a batch of noise with a bright square."""
    config = learner.config
    torch.manual_seed(number)
    shape = (config.global_batch, 3, config.crop, config.crop)
    clean = torch.rand(shape)
    mask = torch.zeros(config.global_batch, 1, config.crop, config.crop)
    mask[:, :, 8:24, 8:24] = 1.0
    batch = {
        "degraded": (clean + 0.5 * mask).clamp(0, 1),
        "clean": clean,
        "layer": 0.5 * mask.expand(shape),
        "mask": mask,
    }
    began = time.perf_counter()
    learner.update(batch, 1.0, config.lr)
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
