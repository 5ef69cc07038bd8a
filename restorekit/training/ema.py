"""An exponential moving average of the trained weights, which is what is exported and judged."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages of the parameters that are trained; the decay rises with the step so that the start is forgotten.

    Running statistics of batch norms are averaged alike: those of the last step belong to weights that are not judged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.weights = {name: value.detach().clone() for name, value in (trained | _statistics(model)).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after `step` updates; effective decay min(decay, (1 + step) / (10 + step))."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = _values(model)
        averages = list(self.weights.values())
        torch._foreach_lerp_(averages, [current[name].detach() for name in self.weights], 1.0 - decay)

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the context and its own again after it."""
        own = self._exchange(model, self.weights)
        try:
            yield
        finally:
            self._exchange(model, own)

    def copy_to(self, model: nn.Module) -> None:
        """The model has the averaged weights from here on."""
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
