"""Plots as files beside a page, by matplotlib, which only those who write files have to load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torchsag.report.chart import Axis, Chart, Line, Number, round_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PALETTE = ("#4477aa", "#aa8833", "#117733", "#aa3377", "#66ccee", "#ee6677", "#888888", "#332288")
_OTHERS = {-1: "black", -2: "#cc3311", -3: "#777777"}
_DASHES = {"solid": "-", "dashed": "--", "dotted": ":", "dashdot": "-."}
_INCHES = 4.6


def save_png(path: Path, charts: Sequence[Chart], dots_per_inch: int = 110) -> None:
    """Write `charts` side by side."""
    from matplotlib.figure import Figure  # half a second, for those who draw

    height = max(chart.height for chart in charts) * _INCHES + 0.7
    figure = Figure(figsize=(_INCHES * len(charts) + 0.6, height), layout="constrained")
    for axes, chart in zip(figure.subplots(1, len(charts), squeeze=False)[0], charts, strict=True):
        _draw(axes, chart)
    figure.savefig(path, dpi=dots_per_inch)


def _draw(axes: Axes, chart: Chart) -> None:
    for band in chart.bands:
        axes.fill_between(band.x, band.low, band.high, color=_colour(band.colour), alpha=0.2, linewidth=0)
    for bars in chart.bars:
        axes.stairs(bars.heights, bars.edges, color=_colour(bars.colour), fill=True)
    for value in chart.across:
        axes.axhline(value, color="grey", linewidth=0.7)
    for value in chart.upright:
        axes.axvline(value, color=_OTHERS[-2], linewidth=1)
    for line in chart.lines:
        _draw_line(axes, line)
    for note in chart.notes:
        axes.annotate(
            note.text, (note.x, note.y), (-5 if note.before else 5, 4), textcoords="offset points", fontsize=8,
            ha="right" if note.before else "left", color=_colour(note.colour),
        )  # fmt: skip
    _set_side(axes, "x", chart.x, chart.x_limits(), 7)
    _set_side(axes, "y", chart.y, chart.y_limits(), 6)
    axes.set_title(chart.title, fontsize=9)
    if any(line.label for line in chart.lines):
        axes.legend(fontsize=7)


def _draw_line(axes: Axes, line: Line) -> None:
    style = {"color": _colour(line.colour), "label": line.label or None, "linewidth": line.width}
    style["linestyle"] = _DASHES.get(line.dash, "none")
    style["marker"] = "o" if line.marked else ""
    if line.spread is None:
        axes.plot(line.x, line.y, markersize=4, **style)
    else:
        axes.errorbar(line.x, line.y, line.spread, markersize=4, **style)


def _set_side(axes: Axes, side: str, axis: Axis, limits: tuple[Number, Number], most: int) -> None:
    one = axes.xaxis if side == "x" else axes.yaxis
    if axis.log:
        axes.set(**{f"{side}scale": "log"})
    ticks = round_ticks(axis, *limits, most)
    one.set_ticks([place for place, _ in ticks], [label for _, label in ticks])
    one.set_ticks([], minor=True)
    axes.set(**{f"{side}lim": limits, f"{side}label": axis.label})


def _colour(number: int) -> str:
    return _OTHERS.get(number) or _PALETTE[number % len(_PALETTE)]
