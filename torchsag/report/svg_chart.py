"""Plots as SVG inside a page: text stays text, colours come from the page's style, nothing is loaded."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence

from torchsag.report.chart import Axis, Band, Bars, Chart, Line, Note, Number, round_ticks

# Units of the drawing; a page scales it to its column.
_WIDTH = 460.0
_SIZE = 12.0
_LETTER = 0.56 * _SIZE  # mean width of a letter
_COLOURS = {-1: "ink", -2: "alarm", -3: "soft"}
_PALETTE = 8

Place = Callable[[Number], float]


def panels(charts: Sequence[Chart], alt: str) -> str:
    """Charts side by side as they fit, one picture to those who cannot see it: `alt` says what it shows."""
    inside = "".join(svg_chart(chart) for chart in charts)
    kind = " several" if len(charts) > 1 else ""
    return f"<div class='panels{kind}' role='img' aria-label='{html.escape(alt)}'>{inside}</div>"


def svg_chart(chart: Chart) -> str:
    """The chart as one ``<svg>`` element."""
    (x_low, x_high), (y_low, y_high) = chart.x_limits(), chart.y_limits()
    y_ticks = round_ticks(chart.y, y_low, y_high, 6)
    left = 26 + _LETTER * max((len(label) for _, label in y_ticks), default=1)
    top, right = (24 if chart.title else 8), 10
    bottom = top + chart.height * _WIDTH
    legend, legend_height = _legend(chart.lines, left, bottom + 38)
    x = _scale(chart.x, x_low, x_high, left, _WIDTH - right)
    y = _scale(chart.y, y_low, y_high, bottom, top)
    x_ticks = round_ticks(chart.x, x_low, x_high, 7)
    box = (left, top, _WIDTH - right, bottom)
    inside = [
        *(_band(band, x, y) for band in chart.bands),
        *(_bars(bar, x, y, bottom) for bar in chart.bars),
        *(f"<path class='thin' d='M{left:.1f} {y(v):.1f}H{_WIDTH - right:.1f}'/>" for v in chart.across),
        *(f"<path class='line alarm' d='M{x(v):.1f} {top:.1f}V{bottom:.1f}'/>" for v in chart.upright),
        *(_line(line, x, y) for line in chart.lines),
    ]
    parts = [
        _cut("".join(inside), box),
        _frame(box, [(x(v), label) for v, label in x_ticks], [(y(v), label) for v, label in y_ticks]),
        _text((left + _WIDTH - right) / 2, bottom + 31, chart.x.label, "middle", "label"),
        _upright_text(10, (top + bottom) / 2, chart.y.label),
        _text((left + _WIDTH - right) / 2, 13, chart.title, "middle", "label"),
        *(_note(note, x, y, box) for note in chart.notes),
        legend,
    ]
    height = bottom + 38 + legend_height
    return f"<svg class='chart' aria-hidden='true' viewBox='0 0 {_WIDTH:g} {height:.0f}'>{''.join(parts)}</svg>"


def _scale(axis: Axis, low: Number, high: Number, start: Number, stop: Number) -> Place:
    """From values to places; what has no logarithm goes far out of the frame."""
    bend = (lambda v: math.log(v) if v > 0 else -1e3) if axis.log else float
    first, length = bend(low), (bend(high) - bend(low)) or 1.0
    return lambda value: start + (bend(value) - first) / length * (stop - start)


def _cut(inside: str, box: tuple[Number, Number, Number, Number]) -> str:
    """What is drawn, as far as it lies within the frame; half a dot may stand out."""
    left, top, right, bottom = box[0] - 4, box[1] - 4, box[2] + 4, box[3]
    place = f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}"
    x, y, width, height = place.split()
    return f"<svg x='{x}' y='{y}' width='{width}' height='{height}' viewBox='{place}'>{inside}</svg>"


def _line(line: Line, x: Place, y: Place) -> str:
    colour = _class(line.colour)
    points = [
        (x(a), y(b)) if math.isfinite(a) and math.isfinite(b) else None for a, b in zip(line.x, line.y, strict=True)
    ]
    parts = []
    if line.spread is not None:
        for a, b, s in zip(line.x, line.y, line.spread, strict=True):
            if math.isfinite(s):
                parts.append(f"<path class='line {colour}' d='M{x(a):.1f} {y(b - s):.1f}V{y(b + s):.1f}'/>")
    if line.dash:
        parts.append(f"<path class='line {colour} {line.dash}' stroke-width='{line.width:g}' d='{_path(points)}'/>")
    if line.marked:
        parts += [f"<circle class='dot {colour}' cx='{p[0]:.1f}' cy='{p[1]:.1f}' r='3.4'/>" for p in points if p]
    return "".join(parts)


def _path(points: Iterable[tuple[float, float] | None]) -> str:
    steps, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        steps.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return "".join(steps)


def _band(band: Band, x: Place, y: Place) -> str:
    pairs = [
        (x(a), y(low), y(high))
        for a, low, high in zip(band.x, band.low, band.high, strict=True)
        if math.isfinite(a) and math.isfinite(low) and math.isfinite(high)
    ]
    there = "L".join(f"{a:.1f} {high:.1f}" for a, _, high in pairs)
    back = "L".join(f"{a:.1f} {low:.1f}" for a, low, _ in reversed(pairs))
    return f"<path class='band {_class(band.colour)}' d='M{there}L{back}Z'/>" if pairs else ""


def _bars(bars: Bars, x: Place, y: Place, bottom: Number) -> str:
    edges = [x(edge) for edge in bars.edges]
    parts = (
        f"M{a:.1f} {bottom:.1f}V{y(height):.1f}H{max(b - 0.7, a + 0.5):.1f}V{bottom:.1f}Z"
        for a, b, height in zip(edges, edges[1:], bars.heights, strict=False)
        if height > 0
    )
    return f"<path class='bars {_class(bars.colour)}' d='{''.join(parts)}'/>"


def _frame(
    box: tuple[Number, ...], x_ticks: Sequence[tuple[Number, str]], y_ticks: Sequence[tuple[Number, str]]
) -> str:
    left, top, right, bottom = box
    parts = [f"<path class='frame' d='M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}'/>"]
    for place, label in x_ticks:
        parts.append(f"<path class='frame' d='M{place:.1f} {bottom:.1f}v4'/>")
        parts.append(_text(place, bottom + 16, label, "middle"))
    for place, label in y_ticks:
        parts.append(f"<path class='frame' d='M{left:.1f} {place:.1f}h-4'/>")
        parts.append(_text(left - 7, place + 4, label, "end"))
    return "".join(parts)


def _note(note: Note, x: Place, y: Place, box: tuple[Number, ...]) -> str:
    across, down = x(note.x), y(note.y)
    before = note.before or across + _LETTER * len(note.text) > box[2]
    place = across - 6 if before else across + 6
    return _text(
        place, max(down - 6, box[1] + 10), note.text, "end" if before else "start", f"note {_class(note.colour)}"
    )


def _legend(lines: Sequence[Line], left: Number, top: Number) -> tuple[str, Number]:
    """Labels side by side as they fit, and the height they take."""
    parts, across, down = [], left, top + 12
    for line in lines:
        if not line.label:
            continue
        length = 34 + _LETTER * len(line.label)
        if across > left and across + length > _WIDTH:
            across, down = left, down + 16
        colour = _class(line.colour)
        if line.dash:
            parts.append(
                f"<path class='line {colour} {line.dash}' stroke-width='{line.width:g}' "
                f"d='M{across:.1f} {down - 4:.1f}h22'/>"
            )
        if line.marked:
            parts.append(f"<circle class='dot {colour}' cx='{across + 11:.1f}' cy='{down - 4:.1f}' r='3.4'/>")
        parts.append(_text(across + 27, down, line.label, "start"))
        across += length + 12
    return "".join(parts), (down - top + 6 if parts else 0)


def _class(colour: int) -> str:
    return _COLOURS.get(colour, f"c{colour % _PALETTE}")


def _text(x: Number, y: Number, text: str, anchor: str, kind: str = "") -> str:
    if not text:
        return ""
    named = f" class='{kind}'" if kind else ""
    return f"<text{named} x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{html.escape(text)}</text>"


def _upright_text(x: Number, y: Number, text: str) -> str:
    if not text:
        return ""
    return (
        f"<text class='label' text-anchor='middle' transform='translate({x:.1f} {y:.1f}) rotate(-90)'>"
        f"{html.escape(text)}</text>"
    )
