"""What the first phase of a training has learnt is kept for all that begin with the same one, and each is learnt once.

The variants of an ablation have one teacher, and a run whose second phase was changed has the one it had. A phase
depends on the first weights of what learns in it, on the settings that it names, on the loop's, the data, the seed and
the sources: trainings that have these in common come to the same weights, to the bit on one CPU worker.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from torch import Tensor

from restorekit.files import digest_of
from restorekit.objectives import Phase
from restorekit.provenance import sources_digest
from restorekit.shards.manifest import ShardManifest
from restorekit.training.job import OPERATIONAL, Job, sources_of
from restorekit.training.phases import Progress, phase_steps
from restorekit.training.state import StateStore, TrainingState

# Settings of the loop that a first phase does not depend on. When validations are made may end it early.
_WITHOUT = {*OPERATIONAL, "steps", "export"} - {"validate_every"}


class FirstPhase:
    """What one first phase comes to, in a folder of its own below `job.phases`."""

    def __init__(self, job: Job, phase: Phase, weights: Mapping[str, Tensor]) -> None:
        """`weights` are the first ones, by name, of what learns in `phase`."""
        assert job.phases is not None
        named: dict[str, Any] = {}
        for setting in phase.settings:
            section, _, field = setting.partition(".")
            named[setting] = getattr(getattr(job.spec, section), field)
        loop = job.config.model_dump(mode="json", exclude=_WITHOUT)
        data = [ShardManifest.load(job.shards / split).digest for split in ("train", "val")]
        steps = phase_steps(phase, Progress(), job.config.steps)  # what the learning rate's course spans
        sources = sources_digest(sources_of(job.spec.model))
        digest = digest_of([phase.name, steps, named, _digest(weights), loop, job.seed, data, sources])
        self.folder = job.phases / f"{job.spec.model}-{job.spec.dataset}-{phase.name}-{digest[:16]}"
        self._store = StateStore(self.folder)

    def is_kept(self) -> bool:
        return self._store.latest_step() is not None

    def load(self) -> TrainingState:
        """The state in which the phase ended, its tensors what learnt in it by name; it must be kept."""
        state = self._store.load_latest()
        assert state is not None
        return state

    def keep(self, state: TrainingState) -> None:
        """Writes the state that `load` gives, unless it is there already."""
        with self._store.locked():
            if not self.is_kept():
                self._store.save(state)


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
