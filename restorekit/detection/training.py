"""The training of the detector: one process, deterministic, goes on from its last state with the same bits.

The examples of a step depend on the seed, the shards and the step alone, so that a state holds no place in the data.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import AdamW, Optimizer

from restorekit.config import DetectorConfig
from restorekit.detection.examples import Example, twins
from restorekit.detection.network import DetectorNetwork
from restorekit.errors import RestorekitError
from restorekit.files import asking_for_room, digest_of, write_atomically
from restorekit.provenance import sources, sources_digest
from restorekit.rng import rng_for, seed_for
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.mixture import MixedReader
from restorekit.tasks import DETECTED
from restorekit.training.optimizer import Ema, MuonAdamW

# Of ten examples one has a given label. So weighted, a probability is that of a photo that has it as likely as not.
POSITIVE = 5.0
GRAD_CLIP = 5.0
BETAS = (0.9, 0.99)
STATE = "state.safetensors"
OPERATIONAL = {"checkpoint_every", "log_every", "threads", "false_alarms"}  # change no weights; a state is kept

Report = Callable[[int, dict[str, float]], None]  # takes a step and figures


def training_digest(config: DetectorConfig, seed: int, shards: Mapping[Path, float]) -> str:
    """The digest of settings, data and sources that names a training's state."""
    settings = config.model_dump(mode="json", exclude=OPERATIONAL)
    data = [ShardManifest.load(folder).digest for folder in shards]
    code = sources_digest(sources("restorekit.detection.training", stage="training state"))
    return digest_of([settings, seed, data, DETECTED, code])


def examples_at(reader: MixedReader, config: DetectorConfig, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, crop, crop) in [0, 1], targets and weights (B, labels) of the step; B is twice the batch size."""
    found: list[Example] = []
    for number in range(step * config.batch_size, (step + 1) * config.batch_size):
        epoch, position = divmod(number, reader.num_samples)
        for _, sample in reader.in_order(reader.mixture.epoch(epoch), [position]):
            found += twins(sample, rng_for(seed, "example", number), config.crop, config.faint)
    images = torch.from_numpy(np.stack([one.image for one in found]))
    return (
        images.permute(0, 3, 1, 2).float().div_(255.0).contiguous(memory_format=torch.channels_last),
        torch.from_numpy(np.stack([one.targets for one in found])),
        torch.from_numpy(np.stack([one.weights for one in found])),
    )


def loss_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The mean of the weighted binary cross entropies of all labels and examples."""
    entropy = F.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=torch.full_like(logits[0], POSITIVE), reduction="none"
    )
    return (entropy * weights).sum() / weights.sum().clamp(min=1.0)


def learning_rate(config: DetectorConfig, step: int) -> float:
    """A linear warm-up, then half a cosine down to zero."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * progress))


def train_detector(
    config: DetectorConfig, seed: int, shards: Mapping[Path, float], folder: Path, report: Report
) -> DetectorNetwork:
    """The averaged weights after all steps, in eval mode; `folder` keeps the state that the next call goes on from.

    `shards` are the folders of training samples, each with its share.
    """
    reader = MixedReader(shards, seed, members=frozenset())
    torch.manual_seed(seed_for(seed, "init"))
    network = DetectorNetwork(len(DETECTED), config.width, config.dropout)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kind = MuonAdamW if config.optimizer == "muon" else AdamW
    optimizer = kind(list(network.parameters()), config.lr, BETAS, weight_decay=config.weight_decay)
    ema = Ema(network, config.ema_decay)
    losses: list[float] = []
    with _held(folder):
        done = _load(folder / STATE, network, optimizer, ema)
        network.train()
        for step in range(done, config.steps):
            images, targets, weights = examples_at(reader, config, seed, step)
            torch.manual_seed(seed_for(seed, "step", step))  # of dropout
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            loss = loss_of(network(images), targets, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), GRAD_CLIP, error_if_nonfinite=False)
            if not math.isfinite(float(norm)):
                raise RestorekitError(f"the gradient of step {step} is not finite: lower detector.lr")
            optimizer.step()
            ema.update(network, step)
            losses.append(float(loss.detach()))
            if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
                report(step + 1, {"loss": math.fsum(losses) / len(losses), "lr": learning_rate(config, step)})
                losses.clear()
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                _save(folder / STATE, step + 1, network, optimizer, ema)
    ema.copy_to(network)
    return network.eval()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; a RestorekitError where another training holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=5.0):
            yield
    except Timeout:
        raise RestorekitError(f"another process trains in {folder}: wait for it, or end it") from None


def _save(file: Path, step: int, network: DetectorNetwork, optimizer: Optimizer, ema: Ema) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in ema.weights.items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    with asking_for_room(f"the state {file}"), write_atomically(file) as partial:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, {"step": str(step)})


def _load(file: Path, network: DetectorNetwork, optimizer: Optimizer, ema: Ema) -> int:
    """Fills all three from a state; the number of its steps, 0 where there is none."""
    if not file.exists():
        return 0
    remedy = f"remove {file} and start again"
    try:
        with safe_open(file, "pt") as opened:
            step = int((opened.metadata() or {})["step"])
        tensors = load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RestorekitError(f"the state {file} cannot be read ({error}): {remedy}") from error
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    if parts["average"].keys() != ema.weights.keys() or not parts["optimizer"]:
        raise RestorekitError(f"the state {file} is of another network: {remedy}")
    moments: dict[int, dict[str, Tensor]] = {number: {} for number, _ in enumerate(network.parameters())}
    try:
        for name, value in parts["optimizer"].items():
            number, _, kind = name.partition(".")
            moments[int(number)][kind] = value
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        network.load_state_dict(parts["network"])  # in place: the optimiser holds these parameters
    except (KeyError, ValueError, RuntimeError) as error:
        raise RestorekitError(f"the state {file} is of another network ({error}): {remedy}") from error
    for name, value in parts["average"].items():
        ema.weights[name].copy_(value)
    return step
