"""Counts launches, waits and blocking copies of a step of each run on the fake CUDA device, for docs/results.md.

LD_PRELOAD=fake_cuda.so python -m tests.device.runs params.yaml [run ...]

The library is built as in test_steps.py. The papers' settings are those of a params.yaml that restorekit.paper_params
wrote. The first step of each phase is counted, but not the filling of the optimiser's state. Trunks are random.
"""

import sys
from pathlib import Path

import torch

from restorekit.config import load_params
from restorekit.config.run import Run
from restorekit.shards.plan import begin_epoch
from restorekit.training import loop
from restorekit.training.batches import TrainBatch
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.world import World
from tests.device.watch import DEVICE, fake_device


def main() -> None:
    params = load_params(Path(sys.argv[1]))
    print("| run | launches | of the optimiser | waits | blocking copies |\n|---|---|---|---|---|")
    for run in sys.argv[2:] or params.runs:
        config = params.training(run).model_copy(update={"precision": "bf16", "use_gpu": True})
        job = Job(run, "", 0, without_files(params.run(run)), config, Path(), Path())
        with fake_device() as watch:
            learner = Learner(job, World(0, 1, DEVICE))
            sizes = {"degraded": 3, "clean": 3, "layer": 3, "mask": 1}
            used = {"madf": ("degraded", "clean", "mask"), "dmgn": ("degraded", "clean", "layer")}
            shape = (config.crop, config.crop)
            images = {
                name: torch.zeros(config.global_batch, sizes[name], *shape, dtype=torch.uint8)
                for name in used.get(job.spec.model, ("degraded", "clean"))
            }
            batch = TrainBatch(images, ("a",) * config.global_batch, 1.0, begin_epoch(0, 8, config.global_batch))
            for phase in range(len(learner.objective.phases)):
                learner.enter(phase)
                watch.clear()
                loop._update(learner, batch, config.lr, 0)
                learner.ema.update(learner.model, 1)
                whole, waits, copies = watch.num_launches, watch.waits.total(), watch.copies.total()
                made = watch.launches["zeros_like"]
                watch.clear()
                learner.optimizer.step()
                name = run if learner.has_one_phase else f"{run}, {learner.phase.name}"
                print(f"| `{name}` | {whole - made} | {watch.num_launches} | {waits} | {copies} |", flush=True)


def without_files(spec: Run) -> Run:
    for setting in spec.weight_files:
        section, _, field = setting.partition(".")
        spec = spec.model_copy(update={section: getattr(spec, section).model_copy(update={field: None})})
    return spec


if __name__ == "__main__":
    main()
