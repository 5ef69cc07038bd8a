"""One objective a model: `create_objective` makes that of a run."""

from collections.abc import Callable
from typing import Any

from restorekit.config import Run
from restorekit.objectives.dakd import DakdLosses
from restorekit.objectives.dmgn import DmgnLosses
from restorekit.objectives.glsgn import GlsgnLosses
from restorekit.objectives.madf import MadfLosses
from restorekit.objectives.objective import Objective, Phase, Terms

__all__ = ["OBJECTIVES", "Objective", "Phase", "Terms", "create_objective"]

OBJECTIVES: dict[str, Callable[[Any], Objective]] = {
    "dakd": lambda run: DakdLosses(run.objective, run.options.tau),
    "dmgn": lambda run: DmgnLosses(run.objective, run.options.variant),
    "glsgn": lambda run: GlsgnLosses(run.objective, run.options.design == "stepwise", run.options.global_path),
    "madf": lambda run: MadfLosses(run.objective, run.options.refinements),
}


def create_objective(run: Run) -> Objective:
    """The objective of a run of params.yaml; raises RestorekitError for settings that cannot be together."""
    return OBJECTIVES[run.model](run)
