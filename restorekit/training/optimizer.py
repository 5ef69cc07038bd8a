"""The update of the weights: the learning rate, Muon behind the interface of one optimiser, the moving average."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from restorekit.config import TrainConfig

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al., steepest at 0


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate of the update from `step` to `step + 1`, 0 <= step < `steps`, both counted within a phase.

    A linear warm-up, then half a cosine down to zero, a constant, or factors from given shares of the steps on.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "cosine":
        progress = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return config.lr * 0.5 * (1.0 + math.cos(math.pi * progress))
    if config.schedule == "milestones":
        factors = [factor for share, factor in sorted(config.milestones) if step >= share * steps]
        return config.lr * (factors[-1] if factors else 1.0)
    return config.lr


class MuonAdamW(Optimizer):
    """Muon for parameters of several rows and columns, AdamW for the others, with one learning rate.

    Muon takes the weight (O, I, h, w) of a convolution as a matrix of O rows. It makes the momentum of that matrix
    nearly orthogonal, so that all directions are learnt at one speed (Jordan et al., 2024), and scales the result to
    the size of AdamW's steps, so that AdamW's learning rate fits (Liu et al., "Muon is Scalable for LLM Training",
    2025). torch.optim.Muon computes the same in bfloat16, which many processors only imitate (`make bench-training`).
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        # With "fused", `load_state_dict` puts AdamW's step counts on the parameters' device.
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "fused": True})
        self._matrices = [one for one in parameters if _is_matrix(one)]
        others = [one for one in parameters if not _is_matrix(one)]
        self._rest = AdamW(others, lr, betas, weight_decay=weight_decay, fused=True) if others else None
        self._share_state()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Updates all parameters that have a gradient; returns the loss of `closure`, if given."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        lr, weight_decay = (self.param_groups[0][name] for name in ("lr", "weight_decay"))
        for parameter in self._matrices:
            if parameter.grad is None:
                continue
            values, gradient = _rows(parameter, parameter), _rows(parameter.grad, parameter)
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            momentum = state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
            direction = _orthogonal(gradient.lerp(momentum, MOMENTUM))  # Nesterov's
            values.mul_(1 - lr * weight_decay)
            values.add_(direction, alpha=-0.2 * lr * math.sqrt(max(values.shape)))
        if self._rest is not None:
            self._rest.param_groups[0]["lr"] = lr
            self._rest.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share_state()

    def _share_state(self) -> None:
        """Makes AdamW keep its state of a parameter in `self.state`, where `state_dict` finds it."""
        if self._rest is not None:
            self._rest.state.clear()
            for parameter in self._rest.param_groups[0]["params"]:
                self._rest.state[parameter] = self.state[parameter]


def _is_matrix(parameter: Tensor) -> bool:
    return 1 < len(parameter) < parameter.numel()


def _orthogonal(matrix: Tensor) -> Tensor:
    """`matrix` with singular values of about 0.7 to 1.2; values below a thousandth of its norm stay smaller.

    Five steps of a quintic Newton-Schulz iteration. Its polynomial is steep at 0 and does not quite converge to 1.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return _orthogonal(matrix.T).T
    turned = matrix / matrix.norm().clamp(min=1e-7)  # no singular value above 1
    for _ in range(5):
        square = turned @ turned.T
        square = torch.addmm(square, square, square, beta=QUINTIC[1], alpha=QUINTIC[2])
        turned = torch.addmm(turned, square, turned, beta=QUINTIC[0])
    return turned


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """A view of `values` as a matrix: its first axis, then the others in the memory order of `like`."""
    strides = like.stride()
    order = sorted(range(1, like.ndim), key=lambda axis: -strides[axis])
    return values.detach().permute(0, *order).flatten(1)


class Ema:
    """Exponential moving averages of the parameters that learn, for the exported and evaluated model.

    The running statistics of batch norms are averaged, too: the last step's statistics belong to weights that are not
    exported.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.weights = {name: value.detach().clone() for name, value in (learning | _statistics(model)).items()}

    def update(self, model: nn.Module, step: int) -> None:
        """Adds the weights after `step` updates, with the decay min(decay, (1 + step) / (10 + step)).

        The decay rises with the step, so that the average forgets the first weights.
        """
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
        current = _values(model)
        average(list(self.weights.values()), [current[name].detach() for name in self.weights], step)

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """A context in which `model` has the averages; afterwards `model` has its own weights again."""
        own = self._exchange(model, self.weights)
        try:
            yield
        finally:
            self._exchange(model, own)

    def copy_to(self, model: nn.Module) -> None:
        """Replaces the weights of `model` by the averages."""
        self._exchange(model, self.weights)

    @torch.no_grad()
    def _exchange(self, model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        before, values = {}, _values(model)
        for name, weight in weights.items():
            before[name] = values[name].detach().clone()
            values[name].copy_(weight)
        return before


def _values(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **_statistics(model)}


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.{kind}": norm.get_buffer(kind)
        for name, norm in model.named_modules()
        if isinstance(norm, nn.BatchNorm2d)
        for kind in ("running_mean", "running_var")
    }
