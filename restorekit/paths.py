"""The paths of all inputs and outputs below one root: `RESTOREKIT_ROOT` (folder or address) or the current folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from restorekit.storage import local_path


@dataclass(frozen=True)
class Paths:
    """The folders of one working root: inputs, states and outputs below `data/`, runs' records in `mlflow.db`."""

    root: Path
    areas: Mapping[str, str] = field(default_factory=dict)  # run outside the main pipeline -> folder below data/
    pipeline: str = ""  # folder below data/ of what is made of all runs of a pipeline; "" for the main one

    def with_areas(self, areas: Mapping[str, str], pipeline: str = "") -> "Paths":
        """The same root, with the places of a second parameters file: `Params.areas` and `Params.pipeline`."""
        return replace(self, areas=areas, pipeline=pipeline)

    @property
    def photos(self) -> Path:
        return self.root / "data" / "photos"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def promotions(self) -> Path:
        return self.root / "data" / self.pipeline / "promotions"

    def promotion(self, run: str) -> Path:
        """The folder of the decision about a run that is promoted on its own."""
        return self._outputs(run) / "promotions" / run

    @property
    def report(self) -> Path:
        return self.root / "data" / self.pipeline / "report"

    @property
    def detector(self) -> Path:
        return self.root / "data" / self.pipeline / "detector"

    def ablations(self, model: str) -> Path:
        """The table of a model's ablations."""
        return self.root / "data" / "ablations" / "tables" / model

    def ablations_of(self, model: str, run: str) -> Path:
        """The models and evaluations of the ablations of a run: the place that `Params.areas` gives them."""
        return self.root / "data" / "ablations" / model / run

    def shards(self, dataset: str) -> Path:
        return self.root / "data" / "shards" / dataset

    @property
    def validation(self) -> Path:
        """The real pairs that choose the best states of trainings: a folder of shards for each set."""
        return self.root / "data" / "validation"

    def state(self, name: str) -> Path:
        return self.root / "data" / "state" / name

    def model(self, run: str) -> Path:
        return self._outputs(run) / "models" / run

    def evaluation(self, run: str) -> Path:
        return self._outputs(run) / "evaluations" / run

    def _outputs(self, run: str) -> Path:
        return self.root / "data" / self.areas.get(run, "")


def working_root() -> Paths:
    """The root in `RESTOREKIT_ROOT` (a job on a cluster), else the current folder; always absolute.

    An address becomes its mirror on this machine, see restorekit.storage.
    """
    return Paths(local_path(os.environ.get("RESTOREKIT_ROOT") or ".").resolve())
