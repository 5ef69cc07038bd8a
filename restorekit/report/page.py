"""data/report/: index.html, leaderboard.json and the pictures they need, written as one folder or not at all."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from restorekit.evaluation.results import ALL, SYNTHETIC_TEST, SliceScore
from restorekit.files import write_beside, write_json
from restorekit.metrics.protocols import METRICS
from restorekit.report.ablations import AblationGroup
from restorekit.report.caveats import caveats
from restorekit.report.figures import Chart, charts_of, interval_mark
from restorekit.report.inputs import FeatureStrip, RunResult, Sample
from restorekit.report.leaderboard import leaderboard
from restorekit.report.localised import MaskSection, mask_section
from restorekit.report.pathways import PathTable, path_tables
from restorekit.report.rivals import RivalTable, rival_tables
from restorekit.report.sheets import Sheet, write_sheets
from restorekit.report.traits import Traits
from restorekit.report.wording import signed, slug
from restorekit.sources.photo_index import Photograph

HEADLINE = ("psnr_rgb", "ssim_rgb")


@dataclass(frozen=True)
class Line:
    """A row of a table of scores, as texts."""

    slice: str
    protocol: str
    before: str
    after: str
    gain: str
    low: str
    high: str
    better: str  # "up", "down" or "unsure": where the interval lies
    n: int
    photographs: int
    mark: Markup


@dataclass(frozen=True)
class Comparison:
    """A triptych as the slider shows it: the panel's shape, and the image's width and offset in panels, in per cent."""

    file: str  # relative to the page
    title: str
    note: str
    width: int
    height: int
    scale: float
    shift: float
    clean: bool  # whether the clean image is in it


@dataclass(frozen=True)
class TestSection:
    """A run's scores on one test set."""

    dataset: str
    headline: list[Line]
    slices: list[Line]
    protocols: list[Line]


@dataclass(frozen=True)
class RunSection:
    result: RunResult
    tests: list[TestSection]
    ensemble: list[tuple[str, list[Line]]]  # test set and scores of the mean of views
    comparisons: list[Comparison]
    masks: MaskSection | None
    paths: list[PathTable]
    rivals: list[RivalTable]
    inside: list[tuple[str, str]]  # file and what it shows
    charts: list[Chart]
    more_charts: list[Chart]


def write_report(
    folder: Path,
    results: Sequence[RunResult],
    photographs: Iterable[Photograph],
    metric: str = HEADLINE[0],
    sheets: Sequence[Sheet] = (),
    real: Sequence[Traits] = (),
    ablations: Sequence[AblationGroup] = (),
) -> None:
    """Writes the report of `results` as `folder`; `photographs` are credited, `metric` is the gate's.

    `sheets` show the degradations on a page of their own, with the traits of `real` pairs beside theirs. `ablations`
    are tables of runs outside the main pipeline.
    """
    with write_beside(folder) as beside:
        beside.mkdir()
        sections = [_section(beside, number, result, metric) for number, result in enumerate(results, start=1)]
        page = render(sections, results, photographs, bool(sheets), ablations)
        (beside / "index.html").write_text(page, encoding="utf-8")
        if sheets:
            write_sheets(beside, sheets, real)
        write_json(beside / "leaderboard.json", leaderboard(results))


def render(
    sections: Sequence[RunSection],
    results: Sequence[RunResult],
    photographs: Iterable[Photograph],
    has_sheets: bool = False,
    ablations: Sequence[AblationGroup] = (),
) -> str:
    """The page's text; every value is escaped unless it is markup that figures.py made."""
    environment = Environment(
        loader=PackageLoader("restorekit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    shown = {sample.photograph for result in results for sample in result.samples}
    return environment.get_template("report.html.j2").render(
        sections=sections,
        has_sheets=has_sheets,
        groups=ablations,
        caveats=caveats(results),
        credits=[photograph for photograph in photographs if photograph.name in shown],
        protocols={name: METRICS[name].says for name in _protocols(results)},
    )


def _section(folder: Path, number: int, result: RunResult, metric: str) -> RunSection:
    charts, more = charts_of(result.curves)
    return RunSection(
        result=result,
        tests=[_test(result, dataset, metric) for dataset in dict.fromkeys(score.dataset for score in result.scores)],
        ensemble=[
            (dataset, _lines([score for score in result.ensemble if score.dataset == dataset]))
            for dataset in dict.fromkeys(score.dataset for score in result.ensemble)
        ],
        comparisons=[
            _comparison(folder, number, index, sample) for index, sample in enumerate(result.samples, start=1)
        ],
        masks=mask_section(folder, number, result),
        paths=path_tables(result),
        rivals=rival_tables(result.opponents, result.opponents_say, metric),
        inside=[_inside(folder, number, picture) for picture in result.mask_features],
        charts=charts,
        more_charts=more,
    )


def _test(result: RunResult, dataset: str, metric: str) -> TestSection:
    whole = result.of_slice(dataset, ALL)
    first = [name for name in dict.fromkeys((metric, *HEADLINE)) if name in whole]
    of_metric = [score for score in result.scores if score.dataset == dataset and score.protocol == metric]
    return TestSection(
        dataset, _lines([whole[name] for name in first]), _lines(of_metric), _lines(list(whole.values()))
    )


def _lines(scores: Sequence[SliceScore]) -> list[Line]:
    """Table rows; the marks of one protocol share their axis."""
    return [_line(score, [other for other in scores if other.protocol == score.protocol]) for score in scores]


def _line(score: SliceScore, same: Sequence[SliceScore]) -> Line:
    digits = METRICS[score.protocol].digits
    low, high = score.ci95
    reach = (min(0.0, *(one.ci95[0] for one in same)), max(0.0, *(one.ci95[1] for one in same)))
    room = 0.06 * (reach[1] - reach[0]) or 1.0
    return Line(
        slice=score.slice, protocol=score.protocol, before=f"{score.degraded:.{digits}f}",
        after=f"{score.restored:.{digits}f}", gain=signed(score.gain, digits), low=signed(low, digits),
        high=signed(high, digits), better="up" if low > 0 else "down" if high < 0 else "unsure", n=score.n,
        photographs=score.photographs,
        mark=interval_mark(score.gain, score.ci95, (reach[0] - room, reach[1] + room)),
    )  # fmt: skip


def _comparison(folder: Path, number: int, index: int, sample: Sample) -> Comparison:
    """Copies the triptych under a name that is safe in any address."""
    name = f"pictures/{number:02d}-{index:02d}-{slug(sample.key)}.png"
    (folder / "pictures").mkdir(exist_ok=True)
    shutil.copyfile(sample.file, folder / name)
    facts = [
        None if sample.dataset == SYNTHETIC_TEST else sample.dataset,
        sample.kind,
        None if sample.severity is None else f"severity {sample.severity:.2f}",
        None if sample.hole_share is None else f"{100 * sample.hole_share:.0f}% missing",
    ]
    if HEADLINE[0] in sample.restored:
        facts.append(f"{sample.degraded[HEADLINE[0]]:.2f} → {sample.restored[HEADLINE[0]]:.2f} dB")
    total = sample.panels * sample.width + (sample.panels - 1) * sample.gutter
    return Comparison(
        file=name, title=sample.photograph, note=", ".join(fact for fact in facts if fact), width=sample.width,
        height=sample.height, scale=100 * total / sample.width, shift=100 * (sample.width + sample.gutter) / total,
        clean=sample.panels == 3,
    )  # fmt: skip


def _inside(folder: Path, number: int, picture: FeatureStrip) -> tuple[str, str]:
    name = f"pictures/{number:02d}-{slug(picture.file.stem)}.png"
    (folder / "pictures").mkdir(exist_ok=True)
    shutil.copyfile(picture.file, folder / name)
    return name, f"{picture.photograph}: {picture.caption}"


def _protocols(results: Sequence[RunResult]) -> list[str]:
    return list(dict.fromkeys(score.protocol for result in results for score in result.scores))
