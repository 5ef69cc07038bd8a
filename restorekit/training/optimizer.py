"""Muon for the weights that are matrices, behind the interface of one optimiser."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


class MuonAdamW(Optimizer):
    """torch's Muon for parameters of several rows and columns, AdamW for the others, with one learning rate.

    The weight (O, I, h, w) of a convolution is a matrix of O rows. Muon makes its momentum orthogonal, so that all
    directions are learnt at one speed, and scales it to the size of AdamW's steps, whose learning rate it can take (Liu
    et al., "Muon is Scalable for LLM Training", 2025).
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "fused": True})
        self._matrices = {one: _rows(one.detach(), one) for one in parameters if 1 < len(one) < one.numel()}
        others = [one for one in parameters if one not in self._matrices]
        self._parts: list[Optimizer] = []
        if self._matrices:
            matrices = list(self._matrices.values())
            self._parts.append(Muon(matrices, lr, weight_decay, adjust_lr_fn="match_rms_adamw"))
        if others:
            self._parts.append(AdamW(others, lr, betas, weight_decay=weight_decay, fused=True))
        self._share_state()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Moves all parameters that have a gradient; returns the loss of `closure`, if it is given, as torch's do."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for parameter, matrix in self._matrices.items():
            matrix.data = _rows(parameter, parameter)
            matrix.grad = None if parameter.grad is None else _rows(parameter.grad, parameter)
        for part in self._parts:
            part.param_groups[0]["lr"] = self.param_groups[0]["lr"]
            part.step()
        for matrix in self._matrices.values():
            matrix.grad = None
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share_state()

    def _share_state(self) -> None:
        """The parts keep what they know of a parameter where `state_dict` finds it."""
        for part in self._parts:
            part.state.clear()
        for parameter in self.param_groups[0]["params"]:
            matrix = self._matrices.get(parameter)
            part = self._parts[0] if matrix is not None else self._parts[-1]
            part.state[parameter if matrix is None else matrix] = self.state[parameter]


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """`values` as a matrix of its first axis, the others in the order in which `like` lies in memory: its view."""
    strides = like.stride()
    order = sorted(range(1, like.ndim), key=lambda axis: -strides[axis])
    return values.detach().permute(0, *order).flatten(1)
