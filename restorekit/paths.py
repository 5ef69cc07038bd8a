"""Where everything lies: one root (`RESTOREKIT_ROOT`, a folder or an address, else here), with `data/` below it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from restorekit.storage import local_path


@dataclass(frozen=True)
class Paths:
    """The folders of one working root; see `data/` in DESIGN for what each holds."""

    root: Path
    areas: Mapping[str, str] = field(default_factory=dict)  # folder below data/ of runs outside the main pipeline

    def with_areas(self, areas: Mapping[str, str]) -> "Paths":
        """The same root, with runs that keep their outputs apart: `Params.areas`."""
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
        """The decision about a run that is promoted by itself."""
        return self._outputs(run) / "promotions" / run

    @property
    def report(self) -> Path:
        return self.root / "data" / "report"

    def ablations(self, model: str) -> Path:
        """The table of a model's ablations, beside their models and evaluations."""
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
    """`RESTOREKIT_ROOT` where it is set (a job on a cluster), else the current folder; always absolute.

    An address's root is its mirror on this machine, see restorekit.storage.
    """
    return Paths(local_path(os.environ.get("RESTOREKIT_ROOT") or ".").resolve())
