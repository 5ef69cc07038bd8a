"""Objectives, one per model: `create_objective` builds the objective of a run."""

from importlib import import_module

from restorekit.config import Run
from restorekit.objectives.objective import Objective, Phase, Terms
from restorekit.tasks import MODELS

__all__ = ["Objective", "Phase", "Terms", "create_objective"]


def create_objective(run: Run) -> Objective:
    """The objective of a run: `LOSSES` of restorekit.objectives.<model>, given the run."""
    assert run.model in MODELS
    objective: Objective = import_module(f"restorekit.objectives.{run.model}").LOSSES(run)
    return objective
