"""Where everything lies: one root, `RESTOREKIT_ROOT` or the current folder, with `data/` below it."""

import os
from dataclasses import dataclass
from pathlib import Path

from restorekit.errors import RestorekitError


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
    """`RESTOREKIT_ROOT` where it is set (a job on a cluster), else the current folder; always absolute."""
    root = os.environ.get("RESTOREKIT_ROOT") or "."
    if "://" in root:
        raise RestorekitError(f"RESTOREKIT_ROOT={root} is an address; name a folder that all nodes share")
    return Paths(Path(root).resolve())
