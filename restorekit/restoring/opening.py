"""Opens restorers for a chosen network: on a device, in a precision, several that share memory and cores."""

import math
import sys
from dataclasses import dataclass

import torch

from restorekit.config import Precision
from restorekit.errors import RestorekitError
from restorekit.inference import Restorer
from restorekit.inference.device import imitation_note
from restorekit.inference.self_ensemble import AS_IT_IS, trained_views
from restorekit.models.memory import default_budget
from restorekit.restoring.choice import Chosen


@dataclass(frozen=True)
class Settings:
    """How a network is run; the command's options of the same names."""

    device: str | None = None  # None: cuda if there is a GPU, else cpu
    precision: Precision = "fp32"
    memory: float | None = None  # GiB
    tile: int | None = None
    self_ensemble: bool = False


def check_mask(chosen: Chosen, has_mask: bool) -> None:
    """Raises a RestorekitError where the network needs a mask and there is none, or takes none and there is one."""
    takes_mask = chosen.network.descriptor.takes_mask  # type: ignore[union-attr]
    if takes_mask and not has_mask:
        raise RestorekitError(
            f"{chosen.name} fills holes: give --mask, a picture that is white where something is missing, or "
            f"--mask-colour"
        )
    if has_mask and not takes_mask:
        raise RestorekitError(f"{chosen.name} takes no --mask: it finds by itself what is degraded")


def open_restorers(chosen: Chosen, settings: Settings, jobs: int = 1) -> list[Restorer]:
    """One restorer a job. They share the network, the memory and the cores."""
    if settings.memory is not None and not 0 < settings.memory < math.inf:
        raise RestorekitError(f"--memory {settings.memory:g} is no number of GiB above 0")
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    views = trained_views(chosen.record) if settings.self_ensemble else AS_IT_IS
    if settings.self_ensemble and len(views) == 1:
        raise RestorekitError("--self-ensemble: this model was trained without flips, so there is one view of a photo")
    memory = None if settings.memory is None else int(settings.memory * 2**30)
    restorers = [
        Restorer(chosen.network, device, memory, settings.tile, views, settings.precision) for _ in range(jobs)
    ]
    note = imitation_note(settings.precision, restorers[0].device)
    if note:
        print(f"note: {note}", file=sys.stderr)
    if jobs > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
        for one in restorers:
            budget = default_budget(one.device) if memory is None else memory
            one.memory_bytes = max(1, budget // jobs)
    return restorers
