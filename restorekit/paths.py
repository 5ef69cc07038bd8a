"""Where everything lies: one root (`RESTOREKIT_ROOT`, a folder or an address, else here), with `data/` below it."""

import os
from dataclasses import dataclass
from pathlib import Path

from restorekit.storage import local_path


@dataclass(frozen=True)
class Paths:
    """The folders of one working root; see `data/` in DESIGN for what each holds."""

    root: Path

    @property
    def photos(self) -> Path:
        return self.root / "data" / "photos"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def promotions(self) -> Path:
        return self.root / "data" / "promotions"

    @property
    def report(self) -> Path:
        return self.root / "data" / "report"

    def shards(self, dataset: str) -> Path:
        return self.root / "data" / "shards" / dataset

    def state(self, name: str) -> Path:
        return self.root / "data" / "state" / name

    def model(self, run: str) -> Path:
        return self.root / "data" / "models" / run

    def evaluation(self, run: str) -> Path:
        return self.root / "data" / "evaluations" / run


def working_root() -> Paths:
    """`RESTOREKIT_ROOT` where it is set (a job on a cluster), else the current folder; always absolute.

    An address's root is its mirror on this machine, see restorekit.storage.
    """
    return Paths(local_path(os.environ.get("RESTOREKIT_ROOT") or ".").resolve())
