"""Line charts and interval marks as inline SVG that follows the page's colours and needs no script."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 24  # margins
MOST_POINTS = 240  # of a line; longer lines are averaged
LINE_CLASSES = 8  # colours in the style sheet
LOG_FROM = 20.0  # ratio of the largest to the smallest positive value above which the axis is logarithmic

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """A drawn chart and the names of its lines, in the order of the style sheet's colours."""

    title: str
    svg: Markup
    names: tuple[str, ...]
    logarithmic: bool


def charts_of(curves: Iterable[tuple[int, str, float]]) -> tuple[list[Chart], list[Chart]]:
    """Two lists of charts from (step, name, value) rows: validation and losses, and all other curves.

    Names with the same text before the first slash share a chart. Validation figures differ in unit, so each has its
    own chart, with a line for the synthetic images and one for each set of real pairs: where a training turns, the two
    part.
    """
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for step, name, value in curves:
        if math.isfinite(value):
            parts = name.split("/")
            group = f"val/{parts[-1]}" if parts[0] == "val" else parts[0]
            groups.setdefault(group, {}).setdefault(name, []).append((float(step), value))
    first = sorted((group for group in groups if group.startswith("val/")), reverse=True)
    first += [group for group in groups if group == "loss"]
    rest = [group for group in groups if group not in first]
    drawn = {group: line_chart(group, lines, group.startswith("val/")) for group, lines in groups.items()}
    return [drawn[group] for group in first], [drawn[group] for group in rest]


def line_chart(title: str, lines: Mapping[str, Points], linear: bool = False) -> Chart:
    """One chart of named lines of (step, value).

    The value axis is logarithmic where positive values span widely, unless `linear`: decibels are logarithms already.
    """
    drawn = {name: _thinned(points) for name, points in lines.items()}
    steps = [step for points in drawn.values() for step, _ in points]
    values = [value for points in drawn.values() for _, value in points]
    logarithmic = not linear and min(values) > 0 and max(values) / min(values) > LOG_FROM
    across = _Axis(0.0, max(max(steps), 1.0), LEFT, WIDTH - RIGHT)
    up = _value_axis(values, logarithmic)
    parts = [_grid(across, up, logarithmic)]
    for index, points in enumerate(drawn.values()):
        where = " ".join(f"{across.at(step):.1f},{up.at(_scaled(value, logarithmic)):.1f}" for step, value in points)
        kind = f"line c{index % LINE_CLASSES}"
        if len(points) == 1:
            x, y = where.split(",")
            parts.append(Markup('<circle class="{} dot" cx="{}" cy="{}" r="3"/>').format(kind, x, y))
        else:
            parts.append(Markup('<polyline class="{}" points="{}"/>').format(kind, where))
    svg = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{} over steps">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(parts)
    )
    return Chart(title, svg, tuple(drawn), logarithmic)


def interval_mark(gain: float, ci95: tuple[float, float], reach: tuple[float, float]) -> Markup:
    """A dot with its interval on an axis from reach[0] to reach[1], with a line at zero."""
    axis = _Axis(reach[0], reach[1], 4, 136)
    low, high, dot, zero = (f"{axis.at(value):.1f}" for value in (*ci95, gain, 0.0))
    return Markup(
        '<svg class="interval {}" viewBox="0 0 140 18" role="img" aria-label="gain and its interval">'
        '<line class="zero" x1="{}" x2="{}" y1="1" y2="17"/><line class="span" x1="{}" x2="{}" y1="9" y2="9"/>'
        '<circle cx="{}" cy="9" r="4"/></svg>'
    ).format(side_of_zero(ci95), zero, zero, low, high, dot)


def side_of_zero(ci95: tuple[float, float]) -> str:
    """A class of the style sheet for an interval: "up" if all above zero, "down" if all below, else "unsure"."""
    return "up" if ci95[0] > 0 else "down" if ci95[1] < 0 else "unsure"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((size * power for size in (1, 2, 2.5, 5, 10)), key=lambda size: abs(size - rough))
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of round numbers between the two given ones, six at most."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [tick for power in powers for factor in factors if low <= (tick := power + math.log10(factor)) <= high]
        if len(found) <= 6:
            return found
    return found[:: math.ceil(len(found) / 6)]


@dataclass(frozen=True)
class _Axis:
    """A linear map of [low, high] to pixels [start, stop]."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def _value_axis(values: Sequence[float], logarithmic: bool) -> _Axis:
    low, high = (_scaled(value, logarithmic) for value in (min(values), max(values)))
    room = 0.05 * (high - low) or max(abs(low) * 0.1, 1e-9)
    return _Axis(low - room, high + room, HEIGHT - BOTTOM, TOP)


def _scaled(value: float, logarithmic: bool) -> float:
    return math.log10(value) if logarithmic else value


def _grid(across: _Axis, up: _Axis, logarithmic: bool) -> Markup:
    parts = []
    for tick in log_ticks(up.low, up.high) if logarithmic else ticks(up.low, up.high):
        y = f"{up.at(tick):.1f}"
        label = f"{10**tick:.3g}" if logarithmic else f"{tick:.4g}"
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y, y))
        parts.append(Markup('<text class="y" x="{}" y="{}">{}</text>').format(LEFT - 6, y, label))
    for tick in ticks(across.low, across.high, 5):
        x = f"{across.at(tick):.1f}"
        parts.append(Markup('<text class="x" x="{}" y="{}">{}</text>').format(x, HEIGHT - 8, f"{tick:.6g}"))
    return Markup("").join(parts)


def _thinned(points: Points) -> list[tuple[float, float]]:
    """At most MOST_POINTS points, each the mean of its neighbours."""
    each = math.ceil(len(points) / MOST_POINTS)
    groups = [points[start : start + each] for start in range(0, len(points), each)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
