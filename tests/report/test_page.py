"""The page: foreign names are text and never markup, pictures have safe names, and every section has its data."""

import json
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

from restorekit.evaluation.results import MASK_FIGURES, CleanFigure, MaskFigure, OpponentScore, SliceScore
from restorekit.image import encode_rgb
from restorekit.report.inputs import Missing, Past, Picture, RunResult, Sample
from restorekit.report.page import caveats, slug, write_report
from restorekit.report.tables import MASK_CAPTIONS
from restorekit.sources.photo_index import Photograph

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{ 7 * 7 }}'


def score(protocol: str, name: str = "all", photographs: int = 2, dataset: str = "synthetic-test") -> SliceScore:
    return SliceScore(dataset, name, 6, photographs, protocol, "higher", 20.0, 25.0, 5.0, (4.0, 6.0))


def result(text: str, picture: Path, **changes: object) -> RunResult:
    values = {"psnr_rgb": 20.0}
    sample = Sample(picture, text, text, text, 0.5, 0.25, 8, 6, 6, 3, "synthetic-test", values, values)
    fields = {
        "run": text, "model": text, "task": text, "trained_on": text, "digest": text, "steps": 10, "version": 1,
        "alias": "champion", "name": text, "decision": text, "reasons": (text,),
        "history": (Past(1, text, (text,)),), "samples": (sample,),
        "scores": (score("psnr_rgb"), score("ssim_rgb"), score("psnr_rgb", text)),
        "curves": ((1, f"{text}/a", 1.0), (2, f"{text}/a", 2.0), (2, f"{text}/b", 2.0)),
    }  # fmt: skip
    return RunResult(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(encode_rgb(np.zeros((6, 36, 3), np.uint8), "png"))
    return path


def test_hostile_names_are_escaped_on_the_page(tmp_path: Path, picture: Path) -> None:
    photograph = Photograph(HOSTILE, "a.png", 8, 6, "0", 1, HOSTILE, HOSTILE, "test", "scene")
    write_report(tmp_path / "report", [result(HOSTILE, picture)], [photograph])
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<img src=x" not in page
    assert "alert(2)</script>" not in page
    assert "49" not in page.replace("49px", "")
    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;") > 10
    names = [path.name for path in (tmp_path / "report" / "pictures").iterdir()]
    assert names == ["01-01-img-src-x-onerror-alert-1-script-script-alert-2-script-7-7.png"]


def test_two_runs_with_the_same_keys_keep_their_pictures_apart(tmp_path: Path, picture: Path) -> None:
    write_report(tmp_path / "report", [result("same", picture), result("same", picture)], [])
    assert len(list((tmp_path / "report" / "pictures").iterdir())) == 2


def test_a_failure_leaves_the_old_report(tmp_path: Path, picture: Path) -> None:
    write_report(tmp_path / "report", [result("first", picture)], [])
    picture.unlink()
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path / "report", [result("second", picture)], [])
    assert "first" in (tmp_path / "report" / "index.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_the_page_says_where_synthetic_and_real_gains_were_highest(tmp_path: Path, picture: Path) -> None:
    curves = (
        (100, "val/gain", 1.0), (100, "val/own/gain", 2.5), (200, "val/gain", 3.0), (200, "val/own/gain", 0.5),
    )  # fmt: skip
    write_report(tmp_path / "report", [result("first", picture, curves=curves)], [])
    page = (tmp_path / "report" / "index.html").read_text()
    assert "synthetic images +3.00 dB at step 200; real pairs (own) +2.50 dB at step 100" in page
    assert "the state of step 10." in page


def test_the_page_names_missing_runs(tmp_path: Path, picture: Path) -> None:
    missing = [Missing(HOSTILE, "not evaluated yet")]
    write_report(tmp_path / "report", [result("first", picture)], [], missing=missing)
    page = (tmp_path / "report" / "index.html").read_text()
    assert f"<li><b>{escape(HOSTILE)}</b>, not evaluated yet</li>" in page
    board = json.loads((tmp_path / "report" / "leaderboard.json").read_text())
    assert board["missing"] == [{"run": HOSTILE, "reason": "not evaluated yet"}]
    write_report(tmp_path / "report", [result("first", picture)], [])
    assert "Not in this report" not in (tmp_path / "report" / "index.html").read_text()


def test_caveats_depend_on_the_data(picture: Path) -> None:
    few = " ".join(caveats([result("a", picture)]))
    assert "All test images are synthetic" in few
    assert "2 test photographs" in few
    many = (score("psnr_rgb", photographs=100, dataset="real"),)
    real = " ".join(caveats([result("a", picture, scores=many)]))
    assert "synthetic" not in real
    assert "few photographs" not in real
    assert "paired" in real


@pytest.mark.parametrize(
    "text, expected", [("A b/C..d", "a-b-c-d"), ("../../etc", "etc"), ("…", "image"), ("x" * 99, "x" * 60)]
)
def test_slugs_are_safe_in_any_url(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_the_page_shows_opponents_and_inner_maps(tmp_path: Path, picture: Path) -> None:
    against = [
        OpponentScore(
            name, "synthetic-test", piece, 3, 4 if piece == "all" else 3, "psnr_rgb", 25.0, theirs, 25.0 - theirs, ci95
        )
        for piece in ("all", "holes:0.2-0.3")
        for name, theirs, ci95 in (("telea", 23.5, (0.5, 2.0)), ("smooth", 26.25, (-2.0, -0.5)))
    ]
    says = {"telea": "fast marching", "smooth": HOSTILE}
    features = (Picture(picture, "chelsea", HOSTILE),)
    shown = result("run", picture, opponents=tuple(against), opponents_say=says, mask_features=features)
    write_report(tmp_path / "report", [shown], [])
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<th>holes:0.2-0.3</th>" in page
    assert '<td class="num up" title="ours +1.50, 95% +0.50 to +2.00, 3 of 4 images, ours 25.00">23.50</td>' in page
    assert '<td class="num down" title="ours -1.25, 95% -2.00 to -0.50">26.25</td>' in page
    assert "<img src=x" not in page
    assert (tmp_path / "report" / "pictures" / "01-picture.png").read_bytes() == picture.read_bytes()
    board = json.loads((tmp_path / "report" / "leaderboard.json").read_text())
    assert [row["opponent"] for row in board["opponents"]] == ["telea", "smooth"] * 2
    assert board["opponents"][0]["run"] == "run"


def test_the_page_shows_predicted_masks_and_maps(picture: Path, tmp_path: Path) -> None:
    figures = tuple(MaskFigure("synthetic-test", name, 5, 0.25, (0.125, 0.5)) for name in MASK_FIGURES)
    maps = picture.with_name('maps-"1.png')
    maps.write_bytes(picture.read_bytes())
    strip = Picture(maps, HOSTILE, f"degraded, predicted mask, {HOSTILE}")
    write_report(tmp_path / "report", [result("plain", picture, masks=figures, maps=(strip,))], [])
    page = (tmp_path / "report" / "index.html").read_text()
    assert MASK_CAPTIONS.keys() == MASK_FIGURES.keys()
    for caption, _, is_difference, _ in MASK_CAPTIONS.values():
        assert escape(caption) in page, caption
        assert not is_difference or "+0.25" in page
    assert "predicted mask" in page
    assert HOSTILE not in page
    copied = [file.name for file in (tmp_path / "report" / "pictures").iterdir() if "maps" in file.name]
    assert copied == ["01-maps-1.png"]
    assert copied[0] in page


def test_the_page_shows_every_path_and_the_border_cost(picture: Path, tmp_path: Path) -> None:
    paths = {name: {"degraded": 20.125, "restored": 23.5} for name in ("global", "path1")}
    means = {"dataset": HOSTILE, "frames": 7, "paths": paths, "seams": {"border_cost": 0.25}}
    write_report(tmp_path / "report", [result("plain", picture, patches=(means,))], [])
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('<td class="num">20.12</td><td class="num">23.50</td><td class="num">+3.38</td>') == 2
    assert page.index("path 1, the finest") < page.index("the global path")
    assert "Means over 7 frames" in page
    assert "cost +0.25 dB" in page
    assert HOSTILE not in page


def test_the_page_shows_what_clean_photographs_lost(picture: Path, tmp_path: Path) -> None:
    figures = (
        CleanFigure("synthetic-test", "clean_psnr", 5, 41.25, (38.5, 44.0), 33.125, HOSTILE),
        CleanFigure("synthetic-test", "clean_shift", 5, -1.25, (-2.5, 0.125), -4.5, HOSTILE),
    )
    write_report(tmp_path / "report", [result("plain", picture, cleans=figures)], [])
    page = (tmp_path / "report" / "index.html").read_text()
    cells = ("60.00", "41.25", "38.50 to 44.00")
    assert "".join(f'<td class="num">{cell}</td>' for cell in cells) in page.replace("\n", "")
    assert f'title="{escape(HOSTILE)}">33.12</td>' in page
    assert "\N{MINUS SIGN}1.25" in page
    assert "synthetic-test, clean" in page
    assert 'title="worst 33.12">41.25</td>' in page
    assert "<dt><code>clean_shift</code></dt>" in page
    assert HOSTILE not in page
    without = tmp_path / "without"
    write_report(without, [result("plain", picture)], [])
    assert not [text for text in ("Clean photographs", "clean_") if text in (without / "index.html").read_text()]


def test_a_network_without_masks_has_no_mask_section(picture: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "report", [result("plain", picture)], [])
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Where the image is degraded" not in page
    assert "Path by path" not in page
