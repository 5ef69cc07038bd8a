"""What learns: the network, its objective and critic, their optimisers and averages; one call makes one update."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restorekit.config import TrainConfig
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.objectives import create_objective
from restorekit.rng import seed_for
from restorekit.training.ema import Ema
from restorekit.training.job import Job
from restorekit.training.state import optimizer_tensors, pack, restore_optimizer, unpack


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0


class Learner:
    """Built alike on every rank: the first weights depend on the job's seed and name alone."""

    def __init__(self, job: Job, world: World) -> None:
        config = job.config
        torch.manual_seed(seed_for(job.seed, "init", job.run))
        self.config, self.world = config, world
        self.model = create_model(job.spec.model, **job.spec.options.model_dump()).to(world.device)
        self.objective = create_objective(job.spec).to(world.device)
        self.critic = self.objective.critic
        self.network = _distributed(self.model, world)
        self.optimizer = _adam(self.model, config)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16")
        self.ema = Ema(self.model, config.ema_decay)
        self._judged = _distributed(self.critic, world) if self.critic is not None else None
        self._critic_optimizer = _adam(self.critic, config) if self.critic is not None else None

    def update(self, batch: dict[str, Tensor], weight: float, lr: float) -> dict[str, Tensor]:
        """One optimiser step on a batch in [0, 1]; returns the named losses and the gradient's norm, detached."""
        _set_rate(self.optimizer, lr)
        with self._precision():
            terms = self.objective(self.network, batch)
            loss = torch.stack(list(terms.losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss * weight).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(_trained(self.model), self.config.grad_clip)
        # A scaler passes over gradients that overflow, but a loss that is no number stays one.
        _require_finite(loss if self.scaler.is_enabled() else norm, terms.losses)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        losses = {f"loss/{name}": value.detach() for name, value in terms.losses.items()}
        if self.critic is not None:
            losses |= self._update_critic(batch, terms.outputs, weight, lr)
        return {"loss": loss.detach(), **losses, "grad_norm": norm.detach()}

    def _update_critic(self, batch: dict[str, Tensor], outputs: object, weight: float, lr: float) -> dict[str, Tensor]:
        assert self.critic is not None
        assert self._judged is not None
        assert self._critic_optimizer is not None
        _set_rate(self._critic_optimizer, lr)
        with self._precision():
            losses = self.objective.critic_losses(self._judged, batch, outputs)
        self._critic_optimizer.zero_grad(set_to_none=True)
        (torch.stack(list(losses.values())).sum() * weight).backward()
        norm = nn.utils.clip_grad_norm_(_trained(self.critic), self.config.grad_clip)
        _require_finite(norm, losses)
        self._critic_optimizer.step()
        return {f"critic/{name}": value.detach() for name, value in losses.items()}

    def _precision(self) -> AbstractContextManager[object]:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.config.precision]
        return torch.autocast(self.world.device.type, dtype=dtype, enabled=dtype is not torch.float32)

    def tensors(self) -> dict[str, Tensor]:
        """Everything learnt so far, by dotted name."""
        tensors = pack("model", self.model.state_dict()) | pack("ema", self.ema.weights)
        tensors |= pack("optimizer", optimizer_tensors(self.optimizer))
        if self.critic is not None and self._critic_optimizer is not None:
            tensors |= pack("critic", self.critic.state_dict())
            tensors |= pack("critic_optimizer", optimizer_tensors(self._critic_optimizer))
        if self.scaler.is_enabled():
            scaler = self.scaler.state_dict()
            tensors["scaler.scale"] = torch.tensor(scaler["scale"])
            tensors["scaler.growth"] = torch.tensor(scaler["_growth_tracker"])
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `tensors` gave; the names and shapes must be those of this learner."""
        self.model.load_state_dict(unpack("model", tensors))
        for name, average in self.ema.weights.items():
            average.copy_(tensors[f"ema.{name}"])
        restore_optimizer(self.optimizer, unpack("optimizer", tensors))
        if self.critic is not None and self._critic_optimizer is not None:
            self.critic.load_state_dict(unpack("critic", tensors))
            restore_optimizer(self._critic_optimizer, unpack("critic_optimizer", tensors))
        if self.scaler.is_enabled():
            state = self.scaler.state_dict()
            state |= {"scale": tensors["scaler.scale"].item(), "_growth_tracker": int(tensors["scaler.growth"])}
            self.scaler.load_state_dict(state)


class NotFiniteError(RestorekitError):
    """A loss or gradient that is not a number; nothing was learnt from it."""


def _require_finite(value: Tensor, losses: dict[str, Tensor]) -> None:
    # A norm is of gradients averaged over all ranks: where one rank's is not finite, every rank's is not.
    if not torch.isfinite(value):
        values = ", ".join(f"{name} {loss.item():g}" for name, loss in losses.items())
        raise NotFiniteError(f"the gradient is not finite (losses here: {values})")


def _adam(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        _trained(module), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _distributed(module: nn.Module, world: World) -> nn.Module:
    if world.size == 1:
        return module
    devices = [world.device] if world.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices)
