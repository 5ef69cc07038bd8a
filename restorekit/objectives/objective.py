"""Objectives: named, weighted loss terms from a batch and a model's outputs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn


class Terms(NamedTuple):
    """The result of one batch."""

    losses: dict[str, Tensor]  # weighted, differentiable scalars; their sum is the loss
    restored: Tensor  # (B, 3, H, W) in [0, 1], detached: the model's final image for this batch
    outputs: Any  # the model's result, for critic_losses


@dataclass(frozen=True)
class Phase:
    """A part of a training in which some of the network learns and the rest is frozen."""

    name: str
    trains: tuple[str, ...] = ()  # prefixes of parameter names; () is everything
    steps: int | None = None  # at most so many; None: to the end. What a phase leaves goes to the next
    watch: str | None = None  # a figure, higher is better, the phase ends early when it no longer rises
    patience: int = 1  # validations without a rise that end the phase
    # Settings, by dotted name, on which the phase's result depends besides the loop's: trainings that agree share it.
    settings: tuple[str, ...] = ()


class Objective(nn.Module, ABC):
    """Loss terms of one network; a batch holds "degraded" and "clean", (B, 3, H, W) in [0, 1], and other members."""

    critic: nn.Module | None  # a discriminator with an optimiser of its own; None where there is none
    phases: tuple[Phase, ...] = (Phase("all"),)
    figure_names: tuple[str, ...] = ()  # the keys of `figures`

    def compile_losses(self) -> None:
        """Compiles the losses that gain by it, for a training with `compile`; their values stay."""

    def enter(self, phase: int, model: nn.Module) -> None:
        """Called at the start of a phase, with its index and the network at that time.

        It is called again where a training is resumed in the phase, before the network's weights are put back.
        """

    def figures(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation figures of one whole image besides its PSNR; `batch` is a batch of one, `model` in eval mode."""
        return {}

    @abstractmethod
    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Terms:
        """Calls `model` once. The critic, where there is one, receives no gradient here."""

    def critic_losses(self, critic: nn.Module, batch: dict[str, Tensor], outputs: Any) -> dict[str, Tensor]:
        """The critic's own loss terms, for the outputs of the same batch.

        Calls `critic` once, which is `self.critic`, wrapped where there are several workers.
        """
        raise NotImplementedError(f"{type(self).__name__} has no critic")
