"""What learns: the network, its objective and critic, their optimisers and averages; one call makes one update."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restorekit.config import TrainConfig
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.objectives import Phase, create_objective
from restorekit.rng import seed_for
from restorekit.training.compiled import compile_warning, compiled
from restorekit.training.ema import Ema
from restorekit.training.job import Job
from restorekit.training.optimizer import MuonAdamW
from restorekit.training.precision import mixed
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
        self.config, self.world = config, world
        self.model = _drawn(job).to(world.device)
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = create_objective(job.spec).to(world.device)
        if config.compile and not compile_warning(world.device.type):
            self.objective.compile_losses()
        self.critic = self.objective.critic
        self._learnable = frozenset(_trained(self.model))
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16")
        self._judged = _distributed(self.critic, world) if self.critic is not None else None
        self._critic_optimizer = _optimizer(self.critic, config) if self.critic is not None else None
        self.enter(0)

    @property
    def phase(self) -> Phase:
        return self.objective.phases[self._phase]

    @property
    def has_one_phase(self) -> bool:
        return len(self.objective.phases) == 1

    @property
    def in_last_phase(self) -> bool:
        return self._phase == len(self.objective.phases) - 1

    def enter(self, phase: int) -> None:
        """Begins a phase: what does not learn in it is frozen; optimiser and averages are new."""
        self._phase = phase
        self.objective.enter(phase, self.model)
        for name, parameter in self.model.named_parameters():
            learns = not self.phase.trains or name.startswith(self.phase.trains)
            parameter.requires_grad_(learns and parameter in self._learnable)
        network = compiled(self.model, self.world.device) if self.config.compile else self.model
        self.network = _distributed(network, self.world)
        self.optimizer = _optimizer(self.model, self.config)
        self.ema = Ema(self.model, self.config.ema_decay)

    def learnt(self) -> dict[str, Tensor]:
        """The network's weights that learn in this phase, by name; copies."""
        return {
            name: tensor.detach().clone()
            for name, tensor in self.model.state_dict().items()
            if not self.phase.trains or name.startswith(self.phase.trains)
        }

    def take(self, learnt: dict[str, Tensor]) -> None:
        """Puts in the place of this phase's weights those that another training of the same phase has `learnt`."""
        self.model.load_state_dict({**self.model.state_dict(), **learnt})

    def settle(self) -> None:
        """Puts the averages of the phase that ends into the network, so that what follows learns beside those."""
        self.ema.copy_to(self.model)

    def update(self, batch: dict[str, Tensor], weight: float, lr: float) -> dict[str, Tensor]:
        """One optimiser step on a batch in [0, 1]; returns the named losses and the gradient's norm, detached.

        With `accumulate` the batch is taken in parts, whose gradients add up to the whole's; a network with statistics
        of the batch has those of the parts.
        """
        for optimizer in self._optimizers():
            _set_rate(optimizer, lr)
            optimizer.zero_grad(set_to_none=True)
        parts = _parts(batch, self.config)
        size = len(batch["degraded"])
        losses: dict[str, Tensor] = {}
        for index, part in enumerate(parts):
            share = len(part["degraded"]) / size
            with self._synchronised(index == len(parts) - 1):
                for name, value in self._add_gradients(part, weight * share).items():
                    losses[name] = losses.get(name, torch.zeros_like(value)) + value * share
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(_trained(self.model), self.config.grad_clip)
        self._require_finite(norm, losses)
        if self.critic is not None:
            norms = nn.utils.clip_grad_norm_(_trained(self.critic), self.config.grad_clip)
            self._require_finite(norms, losses)
        for optimizer in self._optimizers():
            self.scaler.step(optimizer)
        self.scaler.update()
        loss = torch.stack([value for name, value in losses.items() if name.startswith("loss/")]).sum()
        return {"loss": loss, **losses, "grad_norm": norm.detach()}

    def _add_gradients(self, part: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
        """Adds the gradients of a part of the batch, times `weight`, to network and critic; returns its losses."""
        with self._precision():
            terms = self.objective(self.network, part)
            loss = torch.stack(list(terms.losses.values())).sum()
        self.scaler.scale(loss * weight).backward()
        losses = {f"loss/{name}": value.detach() for name, value in terms.losses.items()}
        if self._judged is not None:
            with self._precision():
                judged = self.objective.critic_losses(self._judged, part, terms.outputs)
            (torch.stack(list(judged.values())).sum() * weight).backward()
            losses |= {f"critic/{name}": value.detach() for name, value in judged.items()}
        return losses

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer, *([] if self._critic_optimizer is None else [self._critic_optimizer])]

    def _synchronised(self, is_last: bool) -> ExitStack:
        """Ranks average their gradients with the last part only."""
        context = ExitStack()
        for module in (self.network, self._judged):
            if isinstance(module, DistributedDataParallel) and not is_last:
                context.enter_context(module.no_sync())
        return context

    def _require_finite(self, norm: Tensor, losses: dict[str, Tensor]) -> None:
        """Raises on all ranks alike, before any optimiser has stepped, and names this rank's part in it."""
        # A norm is of gradients averaged over all ranks: where one rank's is not finite, every rank's is not.
        finite = torch.isfinite(norm)
        if (
            self.scaler.is_enabled()
        ):  # which passes over gradients that overflow; but a loss that is no number stays one
            finite = torch.isfinite(torch.stack(list(losses.values()))).all()
            if self.world.size > 1:
                lowest = finite.float()
                torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN)
                finite = lowest > 0
        if not finite:
            raise NotFiniteError({name: value.item() for name, value in losses.items()})

    def _precision(self) -> AbstractContextManager[object]:
        return mixed(self.config.precision, self.world.device)

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

    def restore(self, tensors: dict[str, Tensor], phase: int) -> None:
        """Puts back what `tensors` gave in that phase; the names and shapes must be those of this learner."""
        self.enter(phase)
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
    """A gradient that is not a number, on one rank or another; nothing was learnt from it."""

    def __init__(self, losses: dict[str, float]) -> None:
        self.losses = losses  # of this rank
        super().__init__("the gradient is not finite")


def _drawn(job: Job) -> nn.Module:
    """The network with its first weights; an ablation's are those of the run that it changes, wherever both draw them.

    Two networks that begin elsewhere can end a decibel apart without differing in anything else. What an option sets
    instead of drawing it, such as a bias of one, stays as the ablation has it.
    """
    options, changed = job.spec.options.model_dump(), job.spec.starts_as
    name = job.run.partition("--")[0] if changed is not None else job.run

    def draw(options: dict[str, Any], *again: str) -> nn.Module:
        torch.manual_seed(seed_for(job.seed, "init", name, *again))
        return create_model(job.spec.model, **options)

    model = draw(options)
    if changed:
        start = {**options, **changed}
        own, first = model.state_dict(), draw(start).state_dict()
        by_chance = _unequal(own, draw(options, "again").state_dict()) & _unequal(
            first, draw(start, "again").state_dict()
        )
        alike = {key: first[key] for key in by_chance if first[key].shape == own[key].shape}
        model.load_state_dict(alike, strict=False)
    return model


def _unequal(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """The names under which two states of one network differ."""
    return {name for name, values in one.items() if not torch.equal(values, other[name])}


def _parts(batch: dict[str, Tensor], config: TrainConfig) -> list[dict[str, Tensor]]:
    """The batch in at most `accumulate` parts, in the memory layout that the network has."""
    if config.channels_last:
        batch = {name: images.contiguous(memory_format=torch.channels_last) for name, images in batch.items()}
    split = {name: images.chunk(config.accumulate) for name, images in batch.items()}
    return [dict(zip(split, part, strict=True)) for part in zip(*split.values(), strict=True)]


def _optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    parameters = _trained(module)
    if config.optimizer == "muon":
        return MuonAdamW(parameters, config.lr, config.betas, config.weight_decay)
    return torch.optim.AdamW(parameters, config.lr, config.betas, weight_decay=config.weight_decay, fused=True)


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
