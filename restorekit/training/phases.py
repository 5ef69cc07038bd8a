"""Where a training stands among the phases of its objective: a function of the steps made and the figures seen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from restorekit.objectives import Phase


@dataclass(frozen=True)
class Progress:
    """The phase that a training is in, since when, and what its watched figure has come to."""

    phase: int = 0  # index
    began: int = 0  # updates made before this phase
    highest: float | None = None  # of the watched figure
    stale: int = 0  # validations since it rose
    best: float | None = None  # validation PSNR of the best state of this phase

    def validated(self, phase: Phase, metrics: Mapping[str, float]) -> "Progress":
        """After a validation with these metrics, of which the watched figure is `val/<name>`."""
        if phase.watch is None:
            return self
        value = metrics[f"val/{phase.watch}"]
        if self.highest is None or value > self.highest:
            return replace(self, highest=value, stale=0)
        return replace(self, stale=self.stale + 1)

    def is_over(self, phase: Phase, step: int) -> bool:
        """Whether the phase ends after `step` updates in all."""
        out_of_steps = phase.steps is not None and step - self.began >= phase.steps
        return out_of_steps or (phase.watch is not None and self.stale >= phase.patience)

    def next(self, step: int) -> "Progress":
        """At the beginning of the next phase."""
        return Progress(self.phase + 1, step)


def phase_steps(phase: Phase, progress: Progress, steps: int) -> int:
    """Updates that the phase may make of a training of `steps`: what its schedule spans."""
    left = steps - progress.began
    return left if phase.steps is None else min(phase.steps, left)
