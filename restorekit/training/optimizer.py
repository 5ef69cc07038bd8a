"""Muon for the weights that are matrices, behind the interface of one optimiser."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al., steepest at 0


class MuonAdamW(Optimizer):
    """Muon for parameters of several rows and columns, AdamW for the others, with one learning rate.

    The weight (O, I, h, w) of a convolution is a matrix of O rows. Muon (Jordan et al., 2024) makes its momentum nearly
    orthogonal, so that all directions are learnt at one speed, and scales it to the size of AdamW's steps, whose
    learning rate it can take (Liu et al., "Muon is Scalable for LLM Training", 2025). Torch's own iterates in bfloat16,
    which processors without it only imitate (`make bench-training`); but for that it is the same.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        # As of all that are "fused", AdamW's counts of steps then go to the parameters' device when they are loaded.
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "fused": True})
        self._matrices = [one for one in parameters if _is_matrix(one)]
        others = [one for one in parameters if not _is_matrix(one)]
        self._rest = AdamW(others, lr, betas, weight_decay=weight_decay, fused=True) if others else None
        self._share_state()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Moves all parameters that have a gradient; returns the loss of `closure`, if it is given, as torch's do."""
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
        """AdamW keeps what it knows of a parameter where `state_dict` finds it."""
        if self._rest is not None:
            self._rest.state.clear()
            for parameter in self._rest.param_groups[0]["params"]:
                self._rest.state[parameter] = self.state[parameter]


def _is_matrix(parameter: Tensor) -> bool:
    return 1 < len(parameter) < parameter.numel()


def _orthogonal(matrix: Tensor) -> Tensor:
    """`matrix` with its singular values at about 0.7 to 1.2, but for those that are a thousandth of its norm or less.

    Five steps of a quintic Newton-Schulz iteration, whose factors are steep at 0 and never quite settle at 1.
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
    """`values` as a matrix of its first axis, the others in the order in which `like` lies in memory: its view."""
    strides = like.stride()
    order = sorted(range(1, like.ndim), key=lambda axis: -strides[axis])
    return values.detach().permute(0, *order).flatten(1)
