"""The report's tables as texts, all of one type: scores, masks, a network's paths, opponents and ablations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from restorekit.evaluation.results import (
    ALL,
    AblationRow,
    CleanFigure,
    MaskFigure,
    Mean,
    OpponentScore,
    SliceScore,
)
from restorekit.metrics.clean_metrics import CLEAN_METRICS, CleanMetric
from restorekit.metrics.protocols import METRICS
from restorekit.report.charts import interval_mark, side_of_zero

# Name of a mask's figure -> its caption, digits after the point, whether it is a difference, its column in ablations.
MASK_CAPTIONS: dict[str, tuple[str, int, bool, str]] = {
    "share": ("share of pixels that are degraded", 3, False, ""),
    "f1": ("F1 of the predicted mask", 3, False, "mask F1"),
    "f1_all_white": ("F1 of a mask that is all white", 3, False, ""),
    "f1_all_black": ("F1 of a mask that is all black", 3, False, ""),
    "iou": ("intersection over union", 3, False, "IoU"),
    "auc": ("area under the ROC curve", 3, False, ""),
    "gain_inside": ("PSNR gain inside the true mask, dB", 2, True, "inside, dB"),
    "gain_outside": ("PSNR gain outside the true mask, dB", 2, True, "outside, dB"),
    "correlation": ("correlation of the encoder's energy with the true mask", 3, True, "correlation"),
    "oracle_gain": ("PSNR with the true mask instead, dB", 2, True, "true mask, dB"),
    "black_gain": ("PSNR with a mask of all black instead, dB", 2, True, "mask 0, dB"),
    "white_gain": ("PSNR with a mask of all white instead, dB", 2, True, "mask 1, dB"),
}
PATH_CAPTIONS = {
    "path1": "path 1, the finest patches, at full size",
    "path2": "path 2, at half the size",
    "path3": "path 3, at a quarter of the size",
    "global": "the global path, at a quarter of the size",
}


@dataclass(frozen=True)
class Cell:
    """A text, or markup from charts.py, with classes of the style sheet and a note that shows on hover."""

    text: str | Markup
    style: str = ""
    note: str = ""


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Columns and rows as texts; the first cell of a row names it."""

    title: str
    head: Row
    rows: tuple[Row, ...]
    note: str = ""


def score_table(title: str, scores: Sequence[SliceScore], by: str) -> Table:
    """Scores before and after, a row each; `by` chooses the rows' names, "slice" or "protocol"."""
    head = _head(by, "before", "after", "gain", "95% interval", "", "images", "photographs")
    head = (*head[:5], Cell("", "mark"), *head[6:])
    rows = []
    for score in scores:
        before, after, gain, interval, *counts = score_cells(score)
        same = [other for other in scores if other.protocol == score.protocol]
        rows.append((Cell(getattr(score, by)), before, after, gain, interval, _mark(score, same), *counts))
    return Table(title, head, tuple(rows))


def score_cells(score: SliceScore) -> Row:
    """Before, after, gain, its interval, images and photographs of one score."""
    digits, (low, high) = METRICS[score.protocol].digits, score.ci95
    return (
        _number(f"{score.degraded:.{digits}f}"), _number(f"{score.restored:.{digits}f}"),
        Cell(signed(score.gain, digits), f"num {side_of_zero(score.ci95)}"),
        _number(f"{signed(low, digits)} to {signed(high, digits)}"), _number(str(score.n)),
        _number(str(score.photographs)),
    )  # fmt: skip


def mask_table(figures: Sequence[MaskFigure]) -> Table:
    """The figures of a network's masks."""
    rows = []
    for figure in figures:
        caption, digits, is_signed, _ = MASK_CAPTIONS[figure.name]
        values = (figure.mean, *figure.ci95)
        mean, low, high = (signed(value, digits) if is_signed else f"{value:.{digits}f}" for value in values)
        numbers = (_number(mean), _number(f"{low} to {high}"), _number(str(figure.n)))
        rows.append((Cell(caption), *numbers, Cell(figure.dataset)))
    head = (*_head("figure", "mean", "95% interval", "images"), Cell("test set"))
    return Table("Where the image is degraded", head, tuple(rows))


def clean_table(figures: Sequence[CleanFigure]) -> Table:
    """The figures of clean photographs, which a network should leave as they are."""
    rows = []
    for figure in figures:
        metric = CLEAN_METRICS[figure.name]
        mean, low, high, worst = (_clean_number(metric, one) for one in (figure.mean, *figure.ci95, figure.worst))
        numbers = (_clean_number(metric, metric.untouched), mean, f"{low} to {high}")
        caption = f"{figure.name}, {metric.unit}" if metric.unit else figure.name
        ends = (Cell(worst, "num", figure.worst_of), _number(str(figure.n)), Cell(figure.dataset))
        rows.append((Cell(caption, note=metric.says), *map(_number, numbers), *ends))
    head = (*_head("figure", "untouched", "mean", "95% interval", "worst", "photographs"), Cell("test set"))
    note = (
        "Clean photographs went through the network, each once, and should come out as they are. Point at a figure's "
        "name for what it measures, and at the worst value for its photograph."
    )
    return Table("Clean photographs", head, tuple(rows), note)


def clean_cells(figure: CleanFigure) -> Row:
    """The cells of `score_cells` for a figure of clean photographs; what a gain would be is left out."""
    metric = CLEAN_METRICS[figure.name]
    mean, low, high, worst = (_clean_number(metric, one) for one in (figure.mean, *figure.ci95, figure.worst))
    counts = (_number(str(figure.n)), _number(str(figure.n)))
    return (_number("-"), Cell(mean, "num", f"worst {worst}"), _number("-"), _number(f"{low} to {high}"), *counts)


def _clean_number(metric: CleanMetric, value: float) -> str:
    return signed(value, metric.digits) if metric.signed else f"{value:.{metric.digits}f}"


def path_tables(patches: Sequence[dict[str, Any]]) -> list[Table]:
    """Tables of a network's paths on each test set; entries are `path_means` of evaluation/patches.py."""
    tables = []
    for means in patches:
        rows = []
        for name, caption in PATH_CAPTIONS.items():
            if name in means["paths"]:
                before, after = (means["paths"][name][side] for side in ("degraded", "restored"))
                numbers = (f"{before:.2f}", f"{after:.2f}", signed(after - before, 2))
                rows.append((Cell(caption), *map(_number, numbers)))
        note = f"Means over {means['frames']} frames, each path at its own scale, before they are fused."
        if "border_cost" in means["seams"]:
            note += (
                f" Borders between patches cost {signed(means['seams']['border_cost'], 2)} dB: the pixels within 8 of "
                f"a border, compared with a second run of the frame rolled by half a patch. Against haze, which is "
                f"judged by the whole frame, the roll alone makes a difference."
            )
        title = f"Path by path, psnr_rgb on {means['dataset']}"
        tables.append(Table(title, _head("image of", "degraded", "restored", "gain"), tuple(rows), note))
    return tables


def opponent_tables(scores: Sequence[OpponentScore], says: dict[str, str], metric: str) -> list[Table]:
    """A table for each test set with holes, of `metric`, or of PSNR where the opponents lack `metric`.

    Opponents' cells are green where the whole interval of the network's lead is positive, red where negative.
    """
    protocol = metric if any(one.protocol == metric for one in scores) else "psnr_rgb"
    of_protocol = [one for one in scores if one.protocol == protocol]
    return [
        _opponent_table(dataset, protocol, [one for one in of_protocol if one.dataset == dataset], says)
        for dataset in dict.fromkeys(one.dataset for one in of_protocol)
    ]


def _opponent_table(dataset: str, protocol: str, scores: Sequence[OpponentScore], says: dict[str, str]) -> Table:
    names = list(dict.fromkeys(one.opponent for one in scores))
    slices = [name for name in dict.fromkeys(one.slice for one in scores) if name == ALL or name.startswith("holes:")]
    found = {(one.slice, one.opponent): one for one in scores}
    rows = []
    for name in slices:
        most = max((one for one in scores if one.slice == name), key=lambda one: one.n)  # filled the most images
        ours = f"{most.ours:.{METRICS[protocol].digits}f}"
        cells = [_opponent_cell(found.get((name, opponent)), protocol) for opponent in names]
        rows.append((Cell(name), _number(str(most.of)), _number(ours), *cells))
    words = [name.replace("_", " ") for name in names]
    note = (
        "Green: the network is ahead, and so is the whole 95% interval of its lead; red: the network is behind. Point "
        "at a figure for the lead. "
        + " ".join(f"{word}: {says[name]}." for name, word in zip(names, words, strict=True))
    )
    title = f"Compared with methods that learn nothing, {protocol} on {dataset}"
    return Table(title, _head("slice", "images", "this network", *words), tuple(rows), note)


def _opponent_cell(one: OpponentScore | None, protocol: str) -> Cell:
    if one is None:
        return _number("-")
    digits, (low, high) = METRICS[protocol].digits, one.ci95
    note = f"ours {one.lead:+.{digits}f}, 95% {low:+.{digits}f} to {high:+.{digits}f}"
    fewer = f", {one.n} of {one.of} images, ours {one.ours:.{digits}f}" if one.n < one.of else ""
    return Cell(f"{one.theirs:.{digits}f}", f"num {side_of_zero(one.ci95)}", note + fewer)


def ablation_tables(rows: Sequence[AblationRow]) -> list[Table]:
    """A table for each model and data set, rows in their order; other rows are compared with the first."""
    tables = []
    for model, dataset in dict.fromkeys((row.model, row.dataset) for row in rows):
        members = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        first = members[0]
        figures = {
            column: name
            for name, (_, _, _, column) in MASK_CAPTIONS.items()
            if column and any(name in row.mask for row in members)
        }
        columns = ("PSNR gain, dB", "by seed", "to the first, dB", "SSIM gain", *figures)
        note = (
            f"{len(first.seeds)} seeds of {first.steps} steps each; {first.images} images of {first.photographs} "
            f"photographs; differences are to {first.label}, seed by seed and image by image"
        )
        lines = tuple(_ablation_row(row, list(figures.values())) for row in members)
        tables.append(Table(f"{model}-{dataset}", (*_head("run", *columns), Cell("what differs")), lines, note))
    return tables


def _ablation_row(row: AblationRow, figures: Sequence[str]) -> Row:
    change = None if row.difference is None else row.difference["psnr_rgb"]
    settings = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in row.settings.items()) or "-"
    return (
        Cell(row.label),
        _number(_span(row.gain["psnr_rgb"], 2)),
        _number(", ".join(signed(value, 2) for value in row.by_seed)),
        _number("-") if change is None else Cell(_span(change, 2), f"num {side_of_zero(change.ci95)}"),
        _number(signed(row.gain["ssim_rgb"].mean, 4)),
        *(_number(_mask_mean(row, name)) for name in figures),
        Cell(settings),
    )


def _mask_mean(row: AblationRow, name: str) -> str:
    if name not in row.mask:
        return "-"
    _, digits, is_signed, _ = MASK_CAPTIONS[name]
    mean = row.mask[name].mean
    return signed(mean, digits) if is_signed else f"{mean:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """The number with a sign; the minus is as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _span(value: Mean, digits: int) -> str:
    low, high = value.ci95
    return f"{signed(value.mean, digits)} ({signed(low, digits)} to {signed(high, digits)})"


def _mark(score: SliceScore, same: Sequence[SliceScore]) -> Cell:
    """A drawing of the interval; all marks of one protocol share an axis."""
    reach = (min(0.0, *(one.ci95[0] for one in same)), max(0.0, *(one.ci95[1] for one in same)))
    room = 0.06 * (reach[1] - reach[0]) or 1.0
    return Cell(interval_mark(score.gain, score.ci95, (reach[0] - room, reach[1] + room)), "mark")


def _head(first: str, *numbers: str) -> Row:
    return (Cell(first), *map(_number, numbers))


def _number(text: str) -> Cell:
    return Cell(text, "num")
