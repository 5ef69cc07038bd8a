"""Writes data/report/, as a whole or not at all: index.html, leaderboard.json and their pictures."""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restorekit.distributed.figures import Best, best_steps
from restorekit.evaluation.results import ALL, CLEAN, SYNTHETIC_TEST, AblationRow, SliceScore
from restorekit.files import write_atomically, write_json
from restorekit.metrics.clean_metrics import CLEAN_METRICS, CLEAN_PSNR
from restorekit.metrics.protocols import METRICS
from restorekit.report import environment
from restorekit.report.charts import Chart, charts_of
from restorekit.report.inputs import Missing, Picture, RunResult, Sample, leaderboard
from restorekit.report.sheets import Sheet, write_sheets
from restorekit.report.tables import (
    Cell,
    Row,
    Table,
    ablation_tables,
    clean_cells,
    clean_table,
    mask_table,
    opponent_tables,
    path_tables,
    score_cells,
    score_table,
)
from restorekit.report.traits import Traits
from restorekit.sources.photo_index import Photograph

HEADLINE = ("psnr_rgb", "ssim_rgb")
FEW = 20  # photographs; with fewer, the interval is too narrow: see `mean_interval` in evaluation/slices.py


@dataclass(frozen=True)
class Comparison:
    """A triptych in the slider: the panel's shape, and the image's width and offset in per cent of a panel."""

    file: str  # relative to the page
    title: str
    note: str
    width: int
    height: int
    scale: float
    shift: float
    clean: bool  # whether the triptych has the clean image


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    file: str  # relative to the page
    title: str
    caption: str


@dataclass(frozen=True)
class TestSection:
    """A run's scores on one test set."""

    dataset: str
    headline: list[Row]
    slices: Table
    protocols: Table


@dataclass(frozen=True)
class RunSection:
    result: RunResult
    tests: list[TestSection]
    ensemble: list[Table]  # the mean of several views, on each test set
    comparisons: list[Comparison]
    clean: Table | None
    masks: Table | None
    maps: list[Shown]
    paths: list[Table]
    opponents: list[Table]
    mask_features: list[Shown]
    best: list[Best]
    charts: list[Chart]
    more_charts: list[Chart]


def write_report(
    folder: Path,
    results: Sequence[RunResult],
    photographs: Iterable[Photograph],
    metric: str = HEADLINE[0],
    missing: Sequence[Missing] = (),
    sheets: Sequence[Sheet] = (),
    real: Sequence[Traits] = (),
) -> None:
    """Writes the report of `results` into `folder`, credits `photographs`, and names the `missing` runs.

    `metric` is the gate's. `sheets` show the degradations on their own page, with the traits of `real` pairs.
    """
    with write_atomically(folder) as partial:
        (partial / "pictures").mkdir(parents=True)
        sections = [_section(partial, number, result, metric) for number, result in enumerate(results, start=1)]
        shown = {sample.photograph for result in results for sample in result.samples}
        page = environment().get_template("report.html.j2").render(
            sections=sections,
            missing=missing,
            has_sheets=bool(sheets),
            caveats=caveats(results),
            credits=[photograph for photograph in photographs if photograph.name in shown],
            protocols=_protocols(results),
        )  # fmt: skip
        (partial / "index.html").write_text(page, encoding="utf-8")
        if sheets:
            write_sheets(partial, sheets, real)
        write_json(partial / "leaderboard.json", leaderboard(results, missing))


def render_ablations(rows: Sequence[AblationRow]) -> str:
    """The HTML of the ablations' page."""
    return environment().get_template("ablations.html.j2").render(ablations=ablation_tables(rows))


def caveats(results: Sequence[RunResult]) -> list[str]:
    """The limits of these results: a sentence or two for each that applies."""
    scores = [score for result in results for score in result.scores]
    texts = []
    if scores and all(score.dataset.startswith(SYNTHETIC_TEST) for score in scores):
        texts.append(
            "All test images are synthetic: clean photographs that this project degraded itself, with the operators "
            "that the networks were trained on. Networks trained on synthetic degradations often do much less for real "
            "photographs, and nothing here measures that. Do not compare these figures with published ones on other "
            "test sets."
        )
    real = list(dict.fromkeys(score.dataset for score in scores if not score.dataset.startswith(SYNTHETIC_TEST)))
    if real:
        texts.append(
            f"{', '.join(real)}: pairs from your folders, not made here. Public ones are under licences of their own; "
            "look at those before you show this page's pictures to anyone. Figures are by the protocols named here, "
            "on whole images as the files have them; published figures may be by other protocols."
        )
    fewest = min((score.photographs for score in scores if score.slice == ALL), default=FEW)
    if fewest < FEW:
        photographs = "1 test photograph" if fewest == 1 else f"{fewest} test photographs"
        texts.append(
            f"There are few photographs: {photographs}, each degraded several times. An interval from so few is too "
            "narrow (with two photographs it holds the true mean in 60 to 90 of 100 cases, not in 95) and says little "
            "about other photographs. More images of the same photographs do not help; more photographs do."
        )
    if any(score.slice.startswith("holes:") for score in scores):
        texts.append(
            "Where something is missing, gains are over the mean fill: the mean colour of all known pixels, "
            "one for each image."
        )
    texts.append(
        "The gain is paired: for each image, the restored value less the degraded one (the reverse where lower is "
        "better), then the mean. Its 95% interval is a bootstrap over photographs and over the images within each. "
        "Equal images count as 100 dB."
    )
    texts.append("The pictures were chosen by photograph and severity before anything was restored, not by the result.")
    if any(result.cleans for result in results):
        texts.append(
            "Clean photographs went through the networks too, and should come out as they are. Their one picture of "
            "each test set, the worst, was chosen by the result."
        )
    return texts


def slug(text: str) -> str:
    """`text` as lower-case letters, digits and hyphens only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "image"


def _section(folder: Path, number: int, result: RunResult, metric: str) -> RunSection:
    charts, more = charts_of(result.curves)
    return RunSection(
        result=result,
        tests=[_test(result, dataset, metric) for dataset in _datasets(result.scores)],
        ensemble=[
            score_table(f"Mean of {result.views} views on {dataset}", _of(result.ensemble, dataset), "protocol")
            for dataset in _datasets(result.ensemble)
        ],
        comparisons=[
            _comparison(folder, number, index, sample) for index, sample in enumerate(result.samples, start=1)
        ],
        clean=clean_table(result.cleans) if result.cleans else None,
        masks=mask_table(result.masks) if result.masks else None,
        maps=[_shown(folder, number, picture) for picture in result.maps],
        paths=path_tables(result.patches),
        opponents=opponent_tables(result.opponents, result.opponents_say or {}, metric),
        mask_features=[_shown(folder, number, picture) for picture in result.mask_features],
        best=best_steps(result.curves),
        charts=charts,
        more_charts=more,
    )


def _test(result: RunResult, dataset: str, metric: str) -> TestSection:
    whole = result.of_slice(dataset, ALL)
    headline = [
        (Cell(name), *score_cells(whole[name]), Cell(dataset))
        for name in dict.fromkeys((metric, *HEADLINE))
        if name in whole
    ]
    headline += [
        (Cell(one.name), *clean_cells(one), Cell(f"{dataset}, {CLEAN}"))
        for one in result.cleans
        if one.dataset == dataset and one.name == CLEAN_PSNR
    ]
    of_metric = [score for score in _of(result.scores, dataset) if score.protocol == metric]
    slices = score_table(f"By slice, {metric} on {dataset}", of_metric, "slice")
    return TestSection(
        dataset, headline, slices, score_table(f"All protocols on {dataset}", list(whole.values()), "protocol")
    )


def _comparison(folder: Path, number: int, index: int, sample: Sample) -> Comparison:
    """Copies the triptych under a name that is safe in any URL."""
    facts = [
        None if sample.dataset == SYNTHETIC_TEST else sample.dataset,
        sample.kind,
        None if sample.severity is None else f"severity {sample.severity:.2f}",
        None if sample.hole_share is None else f"{100 * sample.hole_share:.0f}% missing",
    ]
    if HEADLINE[0] in sample.restored:
        facts.append(f"{sample.degraded[HEADLINE[0]]:.2f} → {sample.restored[HEADLINE[0]]:.2f} dB")
    if CLEAN_PSNR in sample.restored:
        facts.append(f"{sample.restored[CLEAN_PSNR]:.2f} dB against itself, the worst")
    total = sample.panels * sample.width + (sample.panels - 1) * sample.gutter
    return Comparison(
        file=_copied(folder, f"{number:02d}-{index:02d}-{slug(sample.key)}", sample.file), title=sample.photograph,
        note=", ".join(fact for fact in facts if fact), width=sample.width, height=sample.height,
        scale=100 * total / sample.width, shift=100 * (sample.width + sample.gutter) / total, clean=sample.panels == 3,
    )  # fmt: skip


def _shown(folder: Path, number: int, picture: Picture) -> Shown:
    file = _copied(folder, f"{number:02d}-{slug(picture.file.stem)}", picture.file)
    return Shown(file, picture.photograph, picture.caption)


def _copied(folder: Path, stem: str, file: Path) -> str:
    name = f"pictures/{stem}.png"
    shutil.copyfile(file, folder / name)
    return name


def _datasets(scores: Sequence[SliceScore]) -> list[str]:
    return list(dict.fromkeys(score.dataset for score in scores))


def _of(scores: Sequence[SliceScore], dataset: str) -> list[SliceScore]:
    return [score for score in scores if score.dataset == dataset]


def _protocols(results: Sequence[RunResult]) -> dict[str, str]:
    """The explanation of every protocol and every figure of clean photographs that has results, by name."""
    scored = dict.fromkeys(score.protocol for result in results for score in result.scores)
    cleans = dict.fromkeys(figure.name for result in results for figure in result.cleans)
    return {name: METRICS[name].says for name in scored} | {name: CLEAN_METRICS[name].says for name in cleans}
