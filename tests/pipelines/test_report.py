"""report: a self-contained page, a leaderboard of fixed form, and no output when an input is missing."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.report import report
from restorekit.config import Params, check_params
from restorekit.errors import RestorekitError
from restorekit.metrics.clean_metrics import CLEAN_METRICS
from restorekit.metrics.protocols import METRICS
from restorekit.paths import Paths
from tests.pipelines.conftest import RUN, VALUES

WriteModel = Callable[..., None]

ROW = {
    "run": str, "model": str, "task": str, "version": int, "alias": str, "dataset": str, "slice": str, "n": int,
    "photographs": int, "protocol": str, "better": str, "degraded": float, "restored": float, "ci95": list,
}  # fmt: skip


class Addresses(HTMLParser):
    """A parser that collects every address on the page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


@pytest.fixture(scope="module")
def reported_once(tmp_path_factory: pytest.TempPathFactory, evaluated_once: Path) -> Path:
    """A root with the report of the evaluated model; for copying."""
    params, root = check_params(VALUES), tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("restorekit.report.sheets.SHORT_SIDE", 64)
        shutil.copytree(evaluated_once, root, dirs_exist_ok=True)
        promote(params, Paths(root))
        report(params, Paths(root))
    return root


@pytest.fixture
def reported(paths: Paths, reported_once: Path) -> Path:
    shutil.copytree(reported_once, paths.root, dirs_exist_ok=True)
    return paths.report


def test_the_leaderboard_has_its_fixed_form(reported: Path) -> None:
    rows = json.loads((reported / "leaderboard.json").read_text())["rows"]
    assert len(rows) == 6 * len(METRICS) + len(CLEAN_METRICS)  # slices x protocols, and clean photographs
    for row in rows:
        assert {name: type(value) for name, value in row.items()} == ROW
        assert row["better"] in (("closer",) if row["slice"] == "clean" else ("higher", "lower"))
        assert len(row["ci95"]) == 2
        assert row["ci95"][0] <= row["ci95"][1]
        gain = row["restored"] - row["degraded"]
        low, high = row["ci95"] if row["better"] != "lower" else [-end for end in row["ci95"][::-1]]
        assert low - 1e-9 <= gain <= high + 1e-9
    first = next(row for row in rows if row["slice"] == "all" and row["protocol"] == "psnr_rgb")
    assert (first["run"], first["model"], first["task"], first["version"]) == (RUN, "dmgn", "rain", 1)
    assert (first["alias"], first["dataset"], first["n"], first["photographs"]) == ("champion", "synthetic-test", 6, 2)
    assert first["restored"] > first["degraded"] + 20
    clean = {row["protocol"]: row for row in rows if row["slice"] == "clean"}
    assert {name: row["degraded"] for name, row in clean.items()} == {
        name: metric.untouched for name, metric in CLEAN_METRICS.items()
    }
    assert clean["clean_psnr"]["restored"] == pytest.approx(20.53, abs=0.1)  # brighter by 24 levels
    assert (clean["clean_psnr"]["n"], clean["clean_psnr"]["photographs"]) == (2, 2)


def test_the_page_needs_no_network_and_all_its_files_are_there(reported: Path) -> None:
    page = (reported / "index.html").read_text()
    addresses = Addresses()
    addresses.feed(page)
    assert not [address for address in addresses.found if ":" in address or address.startswith("/")]
    for address in addresses.found:
        if not address.startswith("#"):
            assert (reported / address).is_file(), address
    assert not re.search(r"https?://|@import|url\(", page)
    assert len(list((reported / "pictures").iterdir())) == 4


def test_the_page_shows_the_results(reported: Path) -> None:
    page = (reported / "index.html").read_text()
    for text in (
        RUN, "champion", "version 1", "promoted", "synthetic-test", "psnr_rgb", "ssim_rgb", "kind:heavy",
        "severity:low", "few photographs", "All test images are synthetic", "95% interval",
        "loss/background", "val/psnr_rgb", "<svg", "astronaut", "CC0", "leaderboard.json", "Clean photographs",
        "clean_detail", "dB against itself, the worst", "synthetic-test, clean",
    ):  # fmt: skip
        assert text in page, text


def test_the_mean_of_views_has_a_table_where_it_was_scored(reported: Path, params: Params, paths: Paths) -> None:
    assert "Mean of 2 views" not in (reported / "index.html").read_text()
    values = params.model_dump(mode="json")
    values["evaluate"]["self_ensemble"] = True
    evaluate(RUN, check_params(values), paths)
    report(params, paths)
    page = (reported / "index.html").read_text()
    assert page.count("Mean of 2 views on synthetic-test") == 1


def test_the_same_inputs_give_the_same_bytes(reported: Path, params: Params, paths: Paths) -> None:
    first = {path.name: path.read_bytes() for path in reported.rglob("*") if path.is_file()}
    report(params, paths)
    assert {path.name: path.read_bytes() for path in reported.rglob("*") if path.is_file()} == first


def test_contradictions_are_named_and_the_old_report_stays(
    reported: Path, params: Params, paths: Paths, write_model: WriteModel
) -> None:
    before = (reported / "index.html").read_text()
    write_model(12.0)
    evaluate(RUN, params, paths)
    with pytest.raises(RestorekitError, match="of another model than its evaluation: run `dvc repro promote`"):
        report(params, paths)
    evaluation = paths.evaluation(RUN) / "evaluation.json"
    evaluation.write_text(json.dumps(json.loads(evaluation.read_text()) | {"format": 1}))
    with pytest.raises(RestorekitError, match="another version of restorekit: run `dvc repro evaluate`"):
        report(params, paths)
    evaluation.unlink()
    with pytest.raises(RestorekitError, match="dvc repro evaluate"):
        report(params, paths)
    (paths.promotions / "decisions.json").unlink()
    with pytest.raises(RestorekitError, match="dvc repro promote"):
        report(params, paths)
    assert (reported / "index.html").read_text() == before


def test_a_run_without_curves_or_pictures_is_still_reported(reported: Path, params: Params, paths: Paths) -> None:
    (paths.model(RUN) / "curves.csv").unlink()
    evaluation = paths.evaluation(RUN) / "evaluation.json"
    evaluation.write_text(json.dumps(json.loads(evaluation.read_text()) | {"samples": []}))
    report(params, paths)
    page = (reported / "index.html").read_text()
    assert RUN in page
    assert 'class="stage"' not in page
    assert "<polyline" not in page


def test_runs_that_are_not_evaluated_or_judged_are_named(
    reported: Path, params: Params, paths: Paths, write_model: WriteModel
) -> None:
    values = params.model_dump(mode="json")
    values["runs"]["dmgn-rain--other"] = values["runs"][RUN]
    both = check_params(values)
    report(both, paths.with_areas({"dmgn-rain--other": "more"}))
    assert "pipelines/more/dvc.yaml:evaluate@dmgn-rain--other`" in (reported / "index.html").read_text()
    report(both, paths)
    page = (reported / "index.html").read_text()
    assert "promoted" in page
    assert "<li><b>dmgn-rain--other</b>, not evaluated yet: run `dvc repro evaluate@dmgn-rain--other`</li>" in page
    board = json.loads((reported / "leaderboard.json").read_text())
    assert {row["run"] for row in board["rows"]} == {RUN}
    assert [one["run"] for one in board["missing"]] == ["dmgn-rain--other"]
    write_model(12.0, run="dmgn-rain--other")
    evaluate("dmgn-rain--other", both, paths)
    report(both, paths)
    assert "</b>, not judged yet: run `dvc repro promote`" in (reported / "index.html").read_text()
    promote(both, paths)
    report(both, paths)
    assert json.loads((reported / "leaderboard.json").read_text())["missing"] == []
