"""The curves of a training as a CSV of step, name, value, each step once however often it was interrupted."""

import csv
from pathlib import Path

from restorekit.files import write_beside

HEADER = ("step", "name", "value")


class CurveWriter:
    """Appends to a curves file; what it holds beyond `resume_step` is dropped, for it will be trained again."""

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path = path
        kept = [row for row in read_curves(path) if row[0] <= resume_step] if path.exists() else []
        with write_beside(path) as beside, beside.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(kept)

    def append(self, step: int, metrics: dict[str, float]) -> None:
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerows((step, name, repr(value)) for name, value in metrics.items())


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """All rows of a curves file; a last line that a kill cut short is left out."""
    rows = []
    with path.open(newline="") as file:
        for row in list(csv.reader(file))[1:]:
            try:
                step, name, value = row
                rows.append((int(step), name, float(value)))
            except ValueError:
                continue
    return rows
