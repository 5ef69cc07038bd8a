"""One objective a model: `create_objective` makes that of a run."""

from restorekit.config import DmgnRun
from restorekit.objectives.dmgn import DmgnLosses
from restorekit.objectives.objective import Objective, Terms

__all__ = ["Objective", "Terms", "create_objective"]


def create_objective(run: DmgnRun) -> Objective:
    """The objective of a run of params.yaml; raises RestorekitError for settings that cannot be together."""
    return DmgnLosses(run.objective, run.options.variant)
