"""The update of the weights: the learning rate, Muon behind the interface of one optimiser, the moving average."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, cast

import torch
import torch.nn.functional as F
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

    Matrices are computed in batches (see `orthogonal`). Where the attribute `found_inf` is a scalar tensor, as with
    GradScaler and the fused AdamW, a step changes nothing if its value is 1; the host does not wait for the value.
    """

    found_inf: Tensor | None = None

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
        if learning := [one for one in self._matrices if one.grad is not None]:
            self._step_matrices(learning, lr, weight_decay)
        if self._rest is not None:
            self._rest.param_groups[0]["lr"] = lr
            self._rest.found_inf = self.found_inf  # type: ignore[attr-defined]
            self._rest.step()
        return loss

    def _step_matrices(self, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        """Momentum and direction of all matrices are one vector each, with the matrices of a shape side by side."""
        parameters = sorted(parameters, key=_shape)
        values = [_rows(one, one) for one in parameters]
        gradients = [_rows(cast(Tensor, one.grad), one) for one in parameters]
        momenta = [self._momentum(one, gradient) for one, gradient in zip(parameters, gradients, strict=True)]
        gradient = _vector(gradients)
        kept: Tensor | float = 1.0
        if self.found_inf is not None:
            gradient, kept = torch.where(self.found_inf > 0, 0.0, gradient), 1.0 - self.found_inf
        momentum = _vector(momenta).lerp_(gradient, (1 - MOMENTUM) * kept)
        torch._foreach_copy_(momenta, _split(momentum, momenta))
        shapes = [(len(list(group)), *shape) for shape, group in groupby(map(_shape, parameters))]
        parts = gradient.lerp_(momentum, MOMENTUM).split([math.prod(shape) for shape in shapes])  # Nesterov's
        directions = orthogonal([part.view(shape) for part, shape in zip(parts, shapes, strict=True)])
        move = _vector([one * (-0.2 * lr * math.sqrt(max(one.shape[1:]))) for one in directions]).mul_(kept)
        if weight_decay:
            torch._foreach_mul_(values, 1 - lr * weight_decay * kept)
        torch._foreach_add_(values, _split(move, values))

    def _momentum(self, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        momentum: Tensor = state["momentum_buffer"]
        return momentum

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


def _shape(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns of the parameter's matrix."""
    return len(parameter), parameter[0].numel()


def _vector(matrices: list[Tensor]) -> Tensor:
    return torch.cat([one.reshape(-1) for one in matrices])


def _split(vector: Tensor, matrices: list[Tensor]) -> list[Tensor]:
    """Views of the parts of `vector` that belong to the matrices."""
    parts = vector.split([one.numel() for one in matrices])
    return [part.view(one.shape) for part, one in zip(parts, matrices, strict=True)]


def orthogonal(stacks: list[Tensor], join: bool | None = None) -> list[Tensor]:
    """Each stack (N, rows, columns) with nearly orthogonal matrices.

    With `join`, as on a GPU by default, all matrices of a number of rows are one batch: columns of zeros at their ends
    change nothing, and launches cost more there.
    """
    wide = [one if one.shape[1] <= one.shape[2] else one.mT for one in stacks]
    if join or (join is None and stacks[0].device.type != "cpu"):
        turned = list(wide)
        for rows in {one.shape[1] for one in wide}:
            places = [place for place, one in enumerate(wide) if one.shape[1] == rows]
            most = max(wide[place].shape[2] for place in places)
            batch = _orthogonal(torch.cat([F.pad(wide[place], (0, most - wide[place].shape[2])) for place in places]))
            for place, part in zip(places, batch.split([len(wide[place]) for place in places]), strict=True):
                turned[place] = part[..., : wide[place].shape[2]]
    else:
        turned = [_orthogonal(one) for one in wide]
    return [new if new.shape == old.shape else new.mT for new, old in zip(turned, stacks, strict=True)]


def _orthogonal(matrices: Tensor) -> Tensor:
    """`matrices` (N, rows, columns), no more rows than columns, with singular values of about 0.7 to 1.2.

    Values below a thousandth of a matrix's norm stay smaller.

    Five steps of a quintic Newton-Schulz iteration. Its polynomial is steep at 0 and does not quite converge to 1.
    """
    norms = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    turned = matrices / norms.clamp(min=1e-7)  # no singular value above 1
    for _ in range(5):
        square = turned @ turned.mT
        square = torch.baddbmm(square, square, square, beta=QUINTIC[1], alpha=QUINTIC[2])
        turned = torch.baddbmm(turned, square, turned, beta=QUINTIC[0])
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
