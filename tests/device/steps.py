"""A program for tests: takes steps of every model on the fake CUDA device, and writes down what it watched.

LD_PRELOAD=fake_cuda.so python -m tests.device.steps SHARDS RESULTS.json
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restorekit.config import TrainConfig
from restorekit.config.runs import read_run
from restorekit.inference.restorer import Restorer
from restorekit.models import create_model
from restorekit.models.madf.filling import smooth_fill
from restorekit.shards.plan import begin_epoch
from restorekit.training import loop
from restorekit.training.batches import TrainBatch
from restorekit.training.finite import FiniteCheck
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.world import World
from tests.device.watch import DEVICE, Watch, cuda_operations, fake_device

WORLD = World(0, 1, DEVICE)
Spec = dict[str, Any]

# Every model with every term of its objective, at a small width; CUDA enlarges fewer than 16 channels only as NCHW.
RUNS: dict[str, tuple[Spec, int]] = {
    "dmgn": (
        {
            "model": "dmgn", "dataset": "reflection",
            "options": {"variant": "reflection", "width": 16, "trunk": "none", "use_ndm": True},
            "objective": {"perceptual": 0.2, "adversarial": 1.0, "coarse": 0.5, "noise": 0.5},
        },
        32,
    ),
    "glsgn": (
        {
            "model": "glsgn", "dataset": "rain",
            "options": {"width": 4, "patch_norm": "joint", "overlap": 8},
            "objective": {"perceptual": 0.1},
        },
        64,
    ),
    "dakd": (
        {
            "model": "dakd", "dataset": "rain",
            "options": {"width": 16}, "objective": {"localise_steps": 2, "white_weight": 4.0},
        },
        32,
    ),
    "madf": (
        {
            "model": "madf", "dataset": "inpainting",
            "options": {"width": 8, "start": "smooth"}, "objective": {"perceptual": 0.05, "style": 120.0},
        },
        128,
    ),
}  # fmt: skip
SETTINGS = {
    "bf16": {"precision": "bf16", "optimizer": "muon", "channels_last": True},
    "fp32": {"precision": "fp32", "optimizer": "adamw"},
}
FILLS = ("zeros", "zeros_like")
# Terms and parts that one of the precisions has. They take most of the time.
WITHOUT: dict[str, Spec] = {
    "dmgn": {"options": {"use_ndm": False}, "objective": {"perceptual": 0.0}},
    "glsgn": {"options": {}, "objective": {"perceptual": 0.0}},
    "dakd": {"options": {}, "objective": {}},
    "madf": {"options": {"start": "mean"}, "objective": {"style": 0.0}},
}


def job_of(name: str, shards: Path, **settings: Any) -> Job:
    spec, crop = RUNS[name]
    if settings["precision"] == "fp32":
        spec = spec | {section: spec[section] | change for section, change in WITHOUT[name].items()}
    settings = {"steps": 6, "batch_size": 2, "crop": crop, "lr": 1e-3, "use_gpu": True} | settings
    return Job(name, spec["dataset"], 1, read_run(spec), TrainConfig(**settings), shards, shards.with_name("state"))


def batch_of(name: str, crop: int) -> TrainBatch:
    members = ["degraded", "clean", *(["layer"] if name == "dmgn" else ["mask"] if name == "madf" else [])]
    images = {one: torch.zeros(2, 1 if one == "mask" else 3, crop, crop, dtype=torch.uint8) for one in members}
    return TrainBatch(images, ("a", "b"), 1.0, begin_epoch(0, 8, 2))


def seen(watch: Watch) -> dict[str, Any]:
    return {
        "launches": watch.num_launches, "waits": watch.waits, "copies": watch.copies,
        "without_kernel": sorted(watch.without_kernel), "turned": watch.turned,
    }  # fmt: skip


def edges_of_step(learner: Learner, watch: Watch) -> list[int]:
    """A list that receives the launches before and after a step of the optimiser, but not those that fill its state."""
    edges = list[int]()
    for register in (learner.optimizer.register_step_pre_hook, learner.optimizer.register_step_post_hook):
        register(lambda *_: edges.append(watch.num_launches - sum(watch.launches[one] for one in FILLS)))
    return edges


def steps(name: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What was watched in a step of each phase; then the state is taken to the host, and restored from there."""
    job, found = job_of(name, Path("none"), **settings), []
    with fake_device() as watch:
        learner, batch, check = (
            Learner(job, WORLD),
            batch_of(name, job.config.crop),
            FiniteCheck(WORLD, lambda: learner.ema.weights.values()),
        )
        for phase in range(len(learner.objective.phases)):
            learner.enter(phase)
            edges = edges_of_step(learner, watch)
            watch.clear()
            losses = loop._update(learner, batch, 1e-3, phase)
            check.expect(phase, batch.keys, losses, learner.finite)
            learner.ema.update(learner.model, 1)
            record = {"phase": learner.phase.name} | seen(watch)
            lacking = [key for key, one in learner.model.named_parameters() if one.requires_grad and one.grad is None]
            watch.clear()  # what comes now has counters of its own
            before, after = edges
            found.append(record | {"optimizer": after - before, "lacking": lacking})
        state = {key: value.cpu() for key, value in learner.tensors().items()}
        learner.restore(state, phase)
        tensors = [value for state in learner.optimizer.state.values() for value in state.values()]
        assert {value.device.type for value in tensors} == {"cuda"}
    return found


def whole_training(shards: Path) -> list[dict[str, Any]]:
    """What was watched in each step of the loop, through both phases of DAKD."""
    found: list[dict[str, Any]] = []
    job = job_of("dakd", shards, trace=True, log_every=3, validate_every=5, checkpoint_every=4, precision="bf16")
    with fake_device() as watch:

        def note(report: loop.Report) -> None:
            if report.batch is None:  # the figures, validation or state of a step
                return
            if found:
                found[-1] |= seen(watch)
            found.append({"step": report.step})
            watch.clear()

        loop.train(job, WORLD, note)
        found[-1] |= seen(watch)
    return found


def network_of(name: str) -> nn.Module:
    spec = job_of(name, Path("none"), precision="fp32").spec
    return create_model(spec.model, **spec.options.model_dump()).to(DEVICE)


def photo(name: str) -> dict[str, Any]:
    """What was watched while a photograph was restored as a whole."""
    with fake_device() as watch:
        restorer = Restorer(network_of(name), "cuda", memory_bytes=2**33)
        image = np.zeros((150, 130, 3), np.float32)
        watch.clear()
        restorer.restore(image, image[..., 0] if name == "madf" else None)
        return seen(watch)


def photo_in_tiles(name: str) -> dict[str, Any]:
    """What was watched while the second GPU restored a photograph in bf16, in tiles at once; their number, too."""
    with fake_device() as watch:
        restorer = Restorer(network_of(name), "cuda:1", memory_bytes=2**33, tile=128, precision="bf16")
        image = np.zeros((150, 260, 3), np.float32)
        tiles = list[int]()
        watch.clear()
        restorer.restore(image, image[..., 0] if name == "madf" else None, lambda _, total: tiles.append(total))
        return seen(watch) | {"tiles": tiles[0]}


def filling() -> dict[str, Any]:
    with fake_device() as watch:
        smooth_fill(torch.zeros(2, 3, 256, 256, device=DEVICE), torch.zeros(2, 1, 256, 256, device=DEVICE))
        return seen(watch)


# Negative controls: each spoils DAKD's network, and must be found.


def before_the_network(change: Callable[[Tensor], Tensor]) -> Callable[[Learner], None]:
    return lambda learner: learner.model.register_forward_pre_hook(lambda _, args: (change(args[0]),)) and None


def many_launches(image: Tensor) -> Tensor:
    for _ in range(2000):
        image = image + 1
    return image


def out_of_memory(image: Tensor) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.\nmore")


def turn_maps(learner: Learner) -> None:
    convolution = next(one for one in learner.model.modules() if isinstance(one, nn.Conv2d) and one.in_channels > 3)
    convolution.register_forward_pre_hook(lambda _, args: (args[0].contiguous(),))


CONTROLS: dict[str, Callable[[Learner], None]] = {
    "mixed devices": before_the_network(lambda image: image + torch.zeros(image.shape)),
    "wait": before_the_network(lambda image: image * float(image.mean())),
    "copy": before_the_network(lambda image: image * image.new_tensor([0.5])),
    "launches": before_the_network(many_launches),
    "out of memory": before_the_network(out_of_memory),
    "turned maps": turn_maps,
}


def control(change: Callable[[Learner], None]) -> dict[str, Any]:
    """What was watched in the loss of DAKD's first phase, or the error."""
    with fake_device() as watch:
        learner, batch = Learner(job_of("dakd", Path("none"), **SETTINGS["bf16"]), WORLD), batch_of("dakd", 32)
        change(learner)
        watch.clear()
        try:
            loop._update(learner, batch, 1e-3, 0)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return seen(watch)


def main() -> None:
    shards, results = Path(sys.argv[1]), dict[str, Any]()
    for name in RUNS:
        for precision, settings in SETTINGS.items():
            results[f"{name} {precision}"] = timed(steps, name, settings)
        results[f"photo {name}"] = timed(photo, name)
        results[f"photo {name} in tiles"] = timed(photo_in_tiles, name)
    results["fp16"] = timed(steps, "dakd", {"precision": "fp16", "optimizer": "muon", "accumulate": 2})
    results["whole training"] = timed(whole_training, shards)
    results["filling"] = timed(filling)
    results |= {f"control {name}": timed(control, change) for name, change in CONTROLS.items()}
    results["operations"] = sorted(cuda_operations())
    Path(sys.argv[2]).write_text(json.dumps(results))


def timed(function: Callable[..., Any], *args: Any) -> Any:
    began = time.process_time()
    found = function(*args)
    print(f"{time.process_time() - began:6.1f} s  {function.__name__} {args[0] if args else ''}", flush=True)
    return found


if __name__ == "__main__":
    main()
