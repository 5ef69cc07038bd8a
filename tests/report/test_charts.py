"""Charts of any curves are well-formed SVG, with finite coordinates inside the drawing."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from restorekit.report.charts import HEIGHT, MOST_POINTS, WIDTH, charts_of, interval_mark, line_chart, ticks


def points(svg: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for line in re.findall(r'points="([^"]*)"', svg)
        for x, y in (pair.split(",") for pair in line.split())
    ]


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 0.5, 0.2], [3.0] * 5, [0.0, 0.0], [-5.0, 5.0], [1e-12, 1e9], [1e-300, 2e-300], [7.0],
        [20.0 + i for i in range(5000)],
    ],
    ids=["falling", "flat", "zero", "signed", "wide", "tiny", "single", "long"],
)  # fmt: skip
def test_lines_of_any_values_stay_inside_the_drawing(values: list[float]) -> None:
    chart = line_chart("a title", {"name": list(enumerate(values))})
    ElementTree.fromstring(chart.svg)
    drawn = points(chart.svg)
    assert len(drawn) <= MOST_POINTS
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in drawn)
    assert all(math.isfinite(number) for pair in drawn for number in pair)


def test_a_rising_line_rises_in_the_drawing() -> None:
    drawn = points(line_chart("t", {"n": [(0, 1.0), (10, 2.0), (20, 4.0)]}).svg)
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert [y for _, y in drawn] == sorted((y for _, y in drawn), reverse=True)


def test_positive_values_over_a_wide_range_get_a_logarithmic_axis() -> None:
    assert line_chart("t", {"n": [(0, 1.0), (1, 0.001)]}).logarithmic
    assert not line_chart("t", {"n": [(0, 1.0), (1, 0.9)]}).logarithmic
    assert not line_chart("t", {"n": [(0, 100.0), (1, -1.0)]}).logarithmic


def test_curves_are_grouped_and_values_that_are_not_finite_left_out() -> None:
    curves = [
        (1, "loss", 2.0), (1, "loss/background", 1.0), (2, "loss", float("nan")), (2, "lr", 1e-4),
        (2, "val/psnr_rgb", 20.0), (2, "val/gain", 1.0), (3, "bad", float("inf")),
    ]  # fmt: skip
    first, rest = charts_of(curves)
    assert [chart.title for chart in first] == ["val/psnr_rgb", "val/gain", "loss"]
    assert first[2].names == ("loss", "loss/background")
    assert [chart.title for chart in rest] == ["lr"]
    assert charts_of([]) == ([], [])


def test_synthetic_and_real_gains_share_a_linear_chart() -> None:
    curves = [(step, name, 0.1 * step**2) for step in (1, 8) for name in ("val/gain", "val/psnr_rgb", "val/own/gain")]
    first, rest = charts_of(curves)
    assert [(chart.title, chart.names) for chart in first] == [
        ("val/psnr_rgb", ("val/psnr_rgb",)), ("val/gain", ("val/gain", "val/own/gain")),
    ]  # fmt: skip
    assert not any(chart.logarithmic for chart in first)
    assert rest == []


def test_hostile_names_are_escaped() -> None:
    chart = line_chart('"><script>alert(1)</script>', {"<b>": [(0, 1.0), (1, 2.0)]})
    assert "<script>" not in chart.svg
    ElementTree.fromstring(chart.svg)


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-3.7, 12.2), (1e-9, 2e-9), (0.0, 540.0), (29.9, 30.1)])
def test_ticks_are_few_and_even_and_lie_within_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 8
    assert low - 1e-9 * abs(low) <= found[0]
    assert found[-1] <= high * (1 + 1e-9)
    steps = [right - left for left, right in pairwise(found)]
    assert max(steps) == pytest.approx(min(steps))


def test_an_interval_mark_shows_its_side_of_zero() -> None:
    assert 'class="interval up"' in interval_mark(2.0, (1.0, 3.0), (-0.5, 4.0))
    assert 'class="interval unsure"' in interval_mark(2.0, (-1.0, 3.0), (-2.0, 4.0))
    assert 'class="interval down"' in interval_mark(-2.0, (-3.0, -1.0), (-4.0, 1.0))
    ElementTree.fromstring(interval_mark(0.0, (0.0, 0.0), (-1.0, 1.0)))
