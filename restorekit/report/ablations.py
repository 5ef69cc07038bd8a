"""The table of ablations, as a page of its own and as a section of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from restorekit.evaluation.results import AblationRow, Mean
from restorekit.files import read_json
from restorekit.report.wording import signed

# Column -> figure of evaluation/masks.py, digits after the point, whether it is a difference.
MASK_COLUMNS: dict[str, tuple[str, int, bool]] = {
    "mask F1": ("f1", 3, False),
    "IoU": ("iou", 3, False),
    "inside, dB": ("gain_inside", 2, True),
    "outside, dB": ("gain_outside", 2, True),
    "correlation": ("correlation", 3, True),
    "true mask, dB": ("oracle_gain", 2, True),
    "mask 0, dB": ("black_gain", 2, True),
    "mask 1, dB": ("white_gain", 2, True),
}


@dataclass(frozen=True)
class AblationLine:
    """A row as texts; `better` says where the interval of the difference lies."""

    label: str
    settings: str
    gain: str
    by_seed: str
    difference: str
    better: str
    ssim: str
    mask: list[str]


@dataclass(frozen=True)
class AblationGroup:
    """The rows of one model and data set."""

    title: str
    note: str
    columns: list[str]
    lines: list[AblationLine]


def read_groups(table: Path) -> list[AblationGroup]:
    """The groups of a table.json; none where it was not made."""
    if not table.is_file():
        return []
    rows: list[dict[str, Any]] = read_json(table, "table of ablations", "run `make ablate`")["rows"]
    return groups_of([AblationRow.from_json(row) for row in rows])


def groups_of(rows: Sequence[AblationRow]) -> list[AblationGroup]:
    """Rows by model and data set, in their order."""
    groups = []
    for model, dataset in dict.fromkeys((row.model, row.dataset) for row in rows):
        members = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        first = members[0]
        columns = [name for name, (figure, _, _) in MASK_COLUMNS.items() if any(figure in row.mask for row in members)]
        note = (
            f"{len(first.seeds)} seeds of {first.steps} steps each; {first.images} images of {first.photographs} "
            f"photographs; differences are to {first.label}, seed by seed and image by image"
        )
        groups.append(AblationGroup(f"{model}-{dataset}", note, columns, [_line(row, columns) for row in members]))
    return groups


def render_ablations(rows: Sequence[AblationRow]) -> str:
    """The page's text."""
    environment = Environment(
        loader=PackageLoader("restorekit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("ablations.html.j2").render(groups=groups_of(rows))


def _line(row: AblationRow, columns: Sequence[str]) -> AblationLine:
    change = None if row.difference is None else row.difference["psnr_rgb"]
    low, high = (0.0, 0.0) if change is None else change.ci95
    return AblationLine(
        label=row.label,
        settings=", ".join(f"{name.partition('.')[2]} {value}" for name, value in row.settings.items()) or "-",
        gain=_span(row.gain["psnr_rgb"], 2),
        by_seed=", ".join(signed(value, 2) for value in row.by_seed),
        difference="-" if change is None else _span(change, 2),
        better="" if change is None else "up" if low > 0 else "down" if high < 0 else "unsure",
        ssim=signed(row.gain["ssim_rgb"].mean, 4),
        mask=[_figure(row, name) for name in columns],
    )


def _span(value: Mean, digits: int) -> str:
    low, high = value.ci95
    return f"{signed(value.mean, digits)} ({signed(low, digits)} to {signed(high, digits)})"


def _figure(row: AblationRow, column: str) -> str:
    figure, digits, is_signed = MASK_COLUMNS[column]
    if figure not in row.mask:
        return "-"
    mean = row.mask[figure].mean
    return signed(mean, digits) if is_signed else f"{mean:.{digits}f}"
