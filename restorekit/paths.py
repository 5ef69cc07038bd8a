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

    def with_areas(self, areas: Mapping[str, str]) -> "Paths":
        """The same root with `areas` (see `Params.areas`): separate output folders for some runs."""
        return replace(self, areas=areas)

    @property
    def photos(self) -> Path:
        return self.root / "data" / "photos"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def promotions(self) -> Path:
        return self.root / "data" / "promotions"

    def promotion(self, run: str) -> Path:
        """The folder of the decision about a run that is promoted on its own."""
        return self._outputs(run) / "promotions" / run

    @property
    def report(self) -> Path:
        return self.root / "data" / "report"

    def ablations(self, model: str) -> Path:
        """The folder of the table of a model's ablations, next to their models and evaluations."""
        return self.root / "data" / "ablations" / model / "table"

    def shards(self, dataset: str) -> Path:
        return self.root / "data" / "shards" / dataset

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
