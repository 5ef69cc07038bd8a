"""`make bench-gpu`: is a GPU right, and how fast is it; for the day that there is one. Rehearsed on a CPU.

Correctness: the gradient of one batch in each precision, against float64 on the CPU, as the norm of the difference over
the norm. Throughput: samples a second, peak memory, and the share of the rate of one large matrix product, measured in
the same precision; then two ranks that share the device, which shows what the exchange costs, not what two GPUs give.

python tests/bench/gpu.py data/bench/gpu.json [run ...]        on the GPU, else on the CPU with tiny crops
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from restorekit.config import Params, TrainConfig, load_params
from restorekit.files import write_json
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.world import World, tune

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda", 0) if ON_GPU else torch.device("cpu")
REPEATS, SIDE = (20, 8192) if ON_GPU else (2, 512)
CROP = None if ON_GPU else {"dmgn": 32, "glsgn": 64, "dakd": 32, "madf": 128}  # pixels of the rehearsal
SETTINGS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "tf32": {"precision": "fp32", "tf32": True},
    "bf16": {"precision": "bf16"},
    "bf16 channels_last": {"precision": "bf16", "channels_last": True},
    "bf16 channels_last compile": {"precision": "bf16", "channels_last": True, "compile": True},
}
MOST = {"fp32": 1e-3, "tf32": 0.02, "bf16": 0.2}  # relative error of a gradient; larger ones are marked


def main() -> None:
    target, params = Path(sys.argv[1]), load_params(Path("params.yaml"))
    machine = torch.cuda.get_device_name() if ON_GPU else "CPU (a rehearsal: the figures mean nothing)"
    rows = [row for run in sys.argv[2:] or params.runs for row in (*correctness(run, params), *throughput(run, params))]
    write_json(target, {"machine": {"torch": torch.__version__, "device": machine}, "rows": rows})


def correctness(run: str, params: Params) -> Iterator[dict[str, Any]]:
    """The error of the gradient in each precision."""
    exact = gradient(run, params, {"precision": "fp32"}, torch.device("cpu"), torch.float64)
    for name in MOST:
        found = gradient(run, params, SETTINGS[name], DEVICE, torch.float32)
        error = float((found - exact).norm() / exact.norm())
        yield shown({"run": run, "setting": name, "gradient_error": error, "right": error < MOST[name]})


def gradient(run: str, params: Params, settings: dict[str, Any], device: torch.device, dtype: torch.dtype) -> Tensor:
    """The gradient of all weights, float64 on the CPU, in the first phase."""
    learner = learner_of(run, params, settings | {"grad_clip": 1e30}, World(0, 1, device))
    learner.model.to(dtype)
    learner.objective.to(dtype)
    torch.manual_seed(0)
    learner.update(batch_of(learner.config, device, dtype), 1.0, 0.0)
    grads = [one.grad for one in learner.model.parameters() if one.grad is not None]
    return torch.cat([grad.double().cpu().flatten() for grad in grads])


def throughput(run: str, params: Params) -> Iterator[dict[str, Any]]:
    """Samples a second in each setting, and with two ranks in the last but one."""
    for name, settings in SETTINGS.items():
        yield shown({"run": run, "setting": name} | speed(run, params, settings, World(0, 1, DEVICE)))
    name = "bf16 channels_last"
    meeting = Path(sys.argv[1]).absolute().with_suffix(".meeting")
    meeting.unlink(missing_ok=True)
    meeting.parent.mkdir(parents=True, exist_ok=True)
    torch.multiprocessing.spawn(one_of_two, (run, SETTINGS[name], meeting), nprocs=2)
    result = json.loads(Path(f"{meeting}.json").read_text())
    yield shown({"run": run, "setting": f"{name}, two ranks on one device"} | result)


def one_of_two(rank: int, run: str, settings: dict[str, Any], meeting: Path) -> None:
    """Two ranks share one GPU by gloo: NCCL wants a GPU each."""
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    found = speed(run, load_params(Path("params.yaml")), settings, World(rank, 2, DEVICE))
    if rank == 0:
        write_json(Path(f"{meeting}.json"), found)
    torch.distributed.destroy_process_group()


def speed(run: str, params: Params, settings: dict[str, Any], world: World) -> dict[str, Any]:
    """Every rank takes a whole batch, so that ranks add samples and the work of each stays the same."""
    learner = learner_of(run, params, settings, world)
    tune(DEVICE, learner.config.tf32)
    batch = batch_of(learner.config, DEVICE, torch.float32)
    learner.update(batch, 1.0, 1e-6)  # compiles, tries convolutions, makes the optimiser's state
    with FlopCounterMode(display=False) as counter:
        learner.update(batch, 1.0, 1e-6)
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    spent = seconds(lambda: learner.update(batch, 1.0, 1e-6)) / REPEATS
    rate = counter.get_total_flops() / spent
    return {
        "samples_per_s": world.size * learner.config.batch_size / spent,
        "ms_a_step": 1e3 * spent,
        "tflops": rate / 1e12,
        "share_of_matrix_rate": rate
        / matrix_rate(torch.bfloat16 if settings["precision"] == "bf16" else torch.float32),
        "memory_gib": torch.cuda.max_memory_allocated() / 2**30 if ON_GPU else None,
    }


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a second of a product of two large matrices."""
    matrix = torch.randn(SIDE, SIDE, device=DEVICE).to(dtype)
    return 2 * SIDE**3 * REPEATS / seconds(lambda: matrix @ matrix)


def seconds(function: Any) -> float:
    """Wall-clock seconds of REPEATS calls, after one that does not count."""
    function()
    wait()
    began = time.perf_counter()
    for _ in range(REPEATS):
        function()
    wait()
    return time.perf_counter() - began


def wait() -> None:
    if ON_GPU:
        torch.cuda.synchronize()


def learner_of(run: str, params: Params, settings: dict[str, Any], world: World) -> Learner:
    spec = params.run(run)
    config = params.training(run)
    crop = CROP[spec.model] if CROP else config.crop
    config = config.model_copy(update={"crop": crop, "use_gpu": ON_GPU, **settings})
    return Learner(Job(run, "", 0, spec, config, Path(), Path()), world)


def batch_of(config: TrainConfig, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Noise with a bright square, as in tests/bench/training.py, the same on every device."""
    torch.manual_seed(1)
    clean = torch.rand(config.batch_size, 3, config.crop, config.crop)
    mask = torch.zeros(config.batch_size, 1, config.crop, config.crop)
    mask[:, :, 8:24, 8:24] = 1.0
    batch = {"degraded": (clean + 0.5 * mask).clamp(0, 1), "clean": clean, "layer": (0.5 * mask).expand_as(clean)}
    return {name: one.to(device, dtype) for name, one in (batch | {"mask": mask}).items()}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    print(
        ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items())
    )
    return row


if __name__ == "__main__":
    main()
