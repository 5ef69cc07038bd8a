"""Objectives: named, weighted loss terms, computed from a batch and a model's outputs."""

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
    """A part of a training in which some parameters learn and the others are frozen."""

    name: str
    trains: tuple[str, ...] = ()  # prefixes of parameter names; () is everything
    steps: int | None = None  # maximum; None: to the end. The next phase gets unused steps
    watch: str | None = None  # a figure, higher is better; the phase ends early when the figure stops rising
    patience: int = 1  # validations without a rise that end the phase
    # Dotted names of settings that determine the phase's result, besides the loop's. Trainings that agree share the
    # result.
    settings: tuple[str, ...] = ()


class Objective(nn.Module, ABC):
    """Loss terms of one network; a batch holds "degraded" and "clean", (B, 3, H, W) in [0, 1], and other members."""

    critic: nn.Module | None  # a discriminator with its own optimiser, or None
    phases: tuple[Phase, ...] = (Phase("all"),)
    figure_names: tuple[str, ...] = ()  # the keys of `figures`

    def compile_losses(self) -> None:
        """Compiles losses that are faster compiled, for a training with `compile`; values do not change."""

    def enter(self, phase: int, model: nn.Module) -> None:
        """Prepares for a phase, given its index and the network at the start of the phase.

        A training that resumes within the phase calls this method again, before the network's weights are restored.
        """

    def figures(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation figures of one whole image besides PSNR; `batch` has one image, `model` is in eval mode."""
        return {}

    @abstractmethod
    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Terms:
        """The loss terms of a batch. Calls `model` once; a critic receives no gradient here."""

    def critic_losses(self, critic: nn.Module, batch: dict[str, Tensor], outputs: Any) -> dict[str, Tensor]:
        """The critic's loss terms, for the outputs of the same batch.

        Calls `critic` once: `self.critic`, wrapped if there are several workers.
        """
        raise NotImplementedError(f"{type(self).__name__} has no critic")
