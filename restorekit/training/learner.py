"""The learner: network, objective and critic with their optimisers and averages; one call makes one update."""

import math
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restorekit.config import TrainConfig
from restorekit.models import create_model
from restorekit.models.precision import mixed
from restorekit.objectives import Phase, create_objective
from restorekit.rng import seed_for
from restorekit.training.batch_norm import over_ranks
from restorekit.training.job import Job
from restorekit.training.optimizer import Ema, MuonAdamW
from restorekit.training.state import optimizer_tensors, pack, restore_optimizer, unpack
from restorekit.training.world import World, compile_warning, compiled


class Learner:
    """The learning parts of a training, equal on every rank: the job's seed and name give the first weights."""

    finite: Tensor  # a boolean on the device: whether the last update's gradient was finite

    def __init__(self, job: Job, world: World) -> None:
        config = job.config
        self.config, self.world = config, world
        self.model = _first_network(job).to(world.device)
        self._norms = over_ranks(self.model) if config.sync_batch_norm and world.size > 1 else []
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = create_objective(job.spec).to(world.device)
        if config.compile and not compile_warning(world.device.type):
            self.objective.compile_losses()
        self.critic = self.objective.critic
        self._learnable = frozenset(_trained(self.model))
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16")
        self._parallel_critic = world.data_parallel(self.critic) if self.critic is not None else None
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
        """Begins a phase: freezes the weights that do not learn in it, with a new optimiser and new averages."""
        self._phase = phase
        self.objective.enter(phase, self.model)
        for name, parameter in self.model.named_parameters():
            learns = not self.phase.trains or name.startswith(self.phase.trains)
            parameter.requires_grad_(learns and parameter in self._learnable)
        network = compiled(self.model, self.world.device) if self.config.compile else self.model
        self.network = self.world.data_parallel(network)
        self.optimizer = _optimizer(self.model, self.config)
        self.ema = Ema(self.model, self.config.ema_decay)

    def learnt(self) -> dict[str, Tensor]:
        """Copies of the network's weights that learn in this phase, by name."""
        return {
            name: tensor.detach().clone()
            for name, tensor in self.model.state_dict().items()
            if not self.phase.trains or name.startswith(self.phase.trains)
        }

    def take(self, learnt: dict[str, Tensor]) -> None:
        """Replaces this phase's weights by those that another training has `learnt` in the same phase."""
        self.model.load_state_dict({**self.model.state_dict(), **learnt})

    def settle(self) -> None:
        """Replaces the ended phase's weights by their averages, for the next phase."""
        self.ema.copy_to(self.model)

    def update(self, batch: dict[str, Tensor], weight: float, lr: float) -> dict[str, Tensor]:
        """The named losses and the gradient's norm, detached, of one optimiser step on a batch in [0, 1].

        With `accumulate` the batch is split, and the gradients of the parts add up to the gradient of the whole.
        Batch statistics are then those of the parts. Where the gradient of one rank is not finite, no weight changes on
        any rank, and `finite` is false; the host does not wait to know.
        """
        for optimizer in self._optimizers():
            _set_rate(optimizer, lr)
            optimizer.zero_grad(set_to_none=True)
        for layer in self._norms:
            layer.counts = weight > 0
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
        # The gradients are averaged over all ranks: one rank's gradient that is not finite makes every norm so.
        finite = norm < math.inf
        if self.critic is not None:
            finite &= nn.utils.clip_grad_norm_(_trained(self.critic), self.config.grad_clip) < math.inf
        found_inf = finite.logical_not().float()
        for optimizer in self._optimizers():
            optimizer.found_inf = found_inf  # type: ignore[attr-defined]  # the attribute by which GradScaler skips
            optimizer.step()
        self.scaler.update()
        self.finite = finite
        if self.scaler.is_enabled():
            # An overflow costs the step, and the scale falls. A loss that is not finite stays so at any scale.
            self.finite = self.world.everywhere(torch.isfinite(torch.stack(list(losses.values()))).all())
        loss = torch.stack([value for name, value in losses.items() if name.startswith("loss/")]).sum()
        return {"loss": loss, **losses, "grad_norm": norm.detach()}

    def _add_gradients(self, part: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
        """The losses of a part of the batch; adds its gradients, times `weight`, to network and critic."""
        with self._precision():
            terms = self.objective(self.network, part)
            loss = torch.stack(list(terms.losses.values())).sum()
        self.scaler.scale(loss * weight).backward()
        losses = {f"loss/{name}": value.detach() for name, value in terms.losses.items()}
        if self._parallel_critic is not None:
            with self._precision():
                critic_losses = self.objective.critic_losses(self._parallel_critic, part, terms.outputs)
            (torch.stack(list(critic_losses.values())).sum() * weight).backward()
            losses |= {f"critic/{name}": value.detach() for name, value in critic_losses.items()}
        return losses

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer, *([] if self._critic_optimizer is None else [self._critic_optimizer])]

    def _synchronised(self, is_last: bool) -> ExitStack:
        """A context in which the ranks average their gradients only where the part of the batch is the last."""
        context = ExitStack()
        for module in (self.network, self._parallel_critic):
            if isinstance(module, DistributedDataParallel) and not is_last:
                context.enter_context(module.no_sync())
        return context

    def _precision(self) -> AbstractContextManager[object]:
        return mixed(self.config.precision, self.world.device)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that a later `restore` needs, by dotted name."""
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
        """Loads the result of `tensors()` in `phase`; names and shapes must be those of this learner."""
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


def _first_network(job: Job) -> nn.Module:
    """The network with its first weights: drawn, or those of the model that the job starts from.

    An ablation takes the drawn weights of the run that it changes.

    Two trainings that differ in their first weights alone can end a decibel apart. Weights that only the ablation
    draws, and values that an option sets without drawing, such as a bias of 1, stay the ablation's.
    """
    options, changed = job.spec.options.model_dump(), job.spec.starts_as
    name = job.run.partition("--")[0] if changed is not None else job.run

    def draw(options: dict[str, Any], *again: str) -> nn.Module:
        torch.manual_seed(seed_for(job.seed, "init", name, *again))
        return create_model(job.spec.model, **options)

    model = draw(options)
    if job.start is not None:
        job.start.fill(model)
    elif changed:
        start = {**options, **changed}
        own, first = model.state_dict(), draw(start).state_dict()
        drawn_here = _unequal(own, draw(options, "again").state_dict())
        drawn_there = _unequal(first, draw(start, "again").state_dict())
        taken = {key: first[key] for key in drawn_here & drawn_there if first[key].shape == own[key].shape}
        model.load_state_dict(taken, strict=False)
    return model


def _unequal(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """The names of the tensors in which two states of one network differ."""
    return {name for name, values in one.items() if not torch.equal(values, other[name])}


def _parts(batch: dict[str, Tensor], config: TrainConfig) -> list[dict[str, Tensor]]:
    """The batch in at most `accumulate` parts, in the network's memory layout."""
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
