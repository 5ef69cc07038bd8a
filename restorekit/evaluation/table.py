"""table.csv: a line for each test image with its facts and scores, written and read back to the bit."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from restorekit.errors import RestorekitError
from restorekit.evaluation.results import REMEDY, CleanScore, Facts, ImageScore, MaskScore
from restorekit.files import write_atomically
from restorekit.metrics.clean_metrics import CLEAN_METRICS

R = TypeVar("R")

COLUMNS = ("dataset", "key", "photograph", "kind", "severity", "hole_share", "width", "height")
_MASK = "mask."  # prefix of the mask columns' names
_MASK_COLUMNS = tuple(field.name for field in fields(MaskScore) if field.name not in COLUMNS)


def write_table(
    path: Path, rows: Sequence[ImageScore], masks: Sequence[MaskScore] = (), cleans: Sequence[CleanScore] = ()
) -> None:
    """Writes table.csv, a line for each image: its facts, its scores, and any scores of its mask and its clean image.

    The columns of a protocol are `<protocol>.degraded` and `.restored`, those of a mask `mask.<figure>`, those of a
    clean image the names of CLEAN_METRICS; undefined values are empty.
    """
    protocols = list(rows[0].restored) if rows else []
    mask_of = {(mask.dataset, mask.key): mask for mask in masks}
    clean_of = {(clean.dataset, clean.key): clean.figures for clean in cleans}
    header = [*COLUMNS, *(f"{name}.{side}" for name in protocols for side in ("degraded", "restored"))]
    header += [_MASK + name for name in _MASK_COLUMNS if masks] + [name for name in CLEAN_METRICS if cleans]
    with write_atomically(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            facts = row.facts
            about = [row.dataset, facts.key, facts.photograph, facts.kind, facts.severity, facts.hole_share]
            values: list[float | None] = [
                value for name in protocols for value in (row.degraded[name], row.restored[name])
            ]
            mask = mask_of.get((row.dataset, facts.key))
            values += [getattr(mask, name, None) for name in _MASK_COLUMNS if masks]
            values += [clean_of.get((row.dataset, facts.key), {}).get(name) for name in CLEAN_METRICS if cleans]
            # csv writes None as an empty field, and floats with all their digits.
            writer.writerow([*about, row.width, row.height, *values])


def read_table(path: Path) -> list[ImageScore]:
    """The images' rows as `write_table` wrote them, to the bit."""
    return _read(path, _image_row)


def read_mask_table(path: Path) -> list[MaskScore]:
    """The masks' rows as `write_table` wrote them, to the bit; empty for a network that predicts no mask."""
    return [row for row in _read(path, _mask_row) if row is not None]


def read_clean_table(path: Path) -> list[CleanScore]:
    """The clean images' rows as `write_table` wrote them, to the bit; empty for a network that takes a mask."""
    return [row for row in _read(path, _clean_row) if row is not None]


def _read(path: Path, row_of: Callable[[dict[str, str]], R]) -> list[R]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [row_of(line) for line in csv.DictReader(file)]
    except FileNotFoundError:
        raise RestorekitError(f"no table of scores at {path}: {REMEDY}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RestorekitError(f"the table of scores at {path} cannot be read ({error}): {REMEDY}") from error


def _image_row(line: dict[str, str]) -> ImageScore:
    facts = Facts(
        line["key"], line["photograph"], line["kind"] or None, _number(line["severity"]), _number(line["hole_share"])
    )
    degraded, restored = (
        {name.removesuffix(side): float(text) for name, text in line.items() if name.endswith(side)}
        for side in (".degraded", ".restored")
    )
    return ImageScore(line["dataset"], facts, int(line["width"]), int(line["height"]), degraded, restored)


def _mask_row(line: dict[str, str]) -> MaskScore | None:
    if not line.get(f"{_MASK}share"):
        return None
    values: dict[str, Any] = {name: _number(line[_MASK + name]) for name in _MASK_COLUMNS}
    return MaskScore(line["dataset"], line["key"], line["photograph"], **values)


def _clean_row(line: dict[str, str]) -> CleanScore | None:
    figures = {name: _number(line[name]) for name in CLEAN_METRICS if name in line}
    known = any(value is not None for value in figures.values())
    return CleanScore(line["dataset"], line["key"], line["photograph"], figures) if known else None


def _number(text: str) -> float | None:
    return float(text) if text else None
