"""An exponential moving average of the trained weights, which is what is exported and judged."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages of the parameters that are trained; the decay rises with the step so that the start is forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after `step` updates; effective decay min(decay, (1 + step) / (10 + step))."""
        decay = min(self.decay, (1 + step) / (10 + step))
        trained = dict(model.named_parameters())
        averages = list(self.weights.values())
        torch._foreach_lerp_(averages, [trained[name].detach() for name in self.weights], 1.0 - decay)

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
        before = {}
        for name, parameter in model.named_parameters():
            if name in weights:
                before[name] = parameter.detach().clone()
                parameter.copy_(weights[name])
        return before
