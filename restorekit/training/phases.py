"""The phases of a training: its progress through them, and the folder of a first phase that several trainings share.

The variants of an ablation have one teacher, and a run keeps its teacher when its second phase changes. The result of a
first phase depends on the first weights of the part that learns in it, on the settings that the phase names, and on the
loop's settings, the data, the seed and the sources. Trainings that agree in all of these get the same weights, to the
bit on one CPU worker; one training learns the phase, and the others take its result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from restorekit.config import DEFAULTS
from restorekit.files import digest_of
from restorekit.objectives import Phase
from restorekit.shards.manifest import ShardManifest
from restorekit.training.job import OPERATIONAL, Job, training_sources

# Settings of the loop that a first phase does not depend on. `validate_every` counts: a validation may end the phase.
_WITHOUT = {*OPERATIONAL, "steps", "export"} - {"validate_every"}


@dataclass(frozen=True)
class Progress:
    """The current phase of a training, the step at which the phase began, and the state of its watched figure."""

    phase: int = 0  # index
    began: int = 0  # updates made before this phase
    highest: float | None = None  # of the watched figure
    stale: int = 0  # validations since the watched figure rose
    best: float | None = None  # of this phase's states, by restorekit.training.validation.quality

    def validated(self, phase: Phase, metrics: Mapping[str, float]) -> "Progress":
        """The progress after a validation with these metrics; the watched figure is `val/<name>`."""
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
        """The progress at the beginning of the next phase, after `step` updates in all."""
        return Progress(self.phase + 1, step)


def phase_steps(phase: Phase, progress: Progress, steps: int) -> int:
    """The updates of a phase in a training of `steps` updates, at most: the span of its learning rate schedule."""
    left = steps - progress.began
    return left if phase.steps is None else min(phase.steps, left)


def first_phase_folder(job: Job, phase: Phase, weights: Mapping[str, Tensor]) -> Path:
    """The folder below `job.phases` that keeps the end of `phase`; `weights` are the phase's first weights, by name."""
    assert job.phases is not None
    changed, named = job.spec.model_dump(mode="json", exclude_defaults=True), {}
    for setting in phase.settings:
        section, _, field = setting.partition(".")
        if field in changed.get(section, {}):
            named[setting] = changed[section][field]
    loop = job.config.counting(_WITHOUT)
    folders = (*job.train_shards, job.shards / "val")
    data = [*(ShardManifest.load(folder).digest for folder in folders), job.spec.shares]
    steps = phase_steps(phase, Progress(), job.config.steps)  # the span of the learning rate schedule
    sources = training_sources(job.spec.model)
    digest = digest_of([phase.name, steps, named, _digest(weights), loop, DEFAULTS, job.seed, data, sources])
    return job.phases / f"{job.spec.model}-{job.spec.first_set}-{phase.name}-{digest[:16]}"


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
