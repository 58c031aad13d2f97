"""What a plot shows, in words and numbers, whoever draws it: inline in a page, or as a file beside it.

Pages draw with `torchsag.report.svg_chart`: text stays text, colours follow the light or dark mode of the reader, and
nothing has to be loaded for it. Files are drawn by matplotlib, which takes a second of CPU time to load
(`torchsag.report.png_chart`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Number = int | float
Numbers = Sequence[Number]
# What a line may look like; a word, so that every renderer has its own way.
DASHES = ("solid", "dashed", "dotted", "dashdot")


@dataclass(frozen=True)
class Axis:
    """One side of a plot.

    Attributes
    ----------
    label
        With the unit.
    log
        Whether steps are ratios.
    ticks
        Places and their labels; None chooses round ones.
    limits
        From and to; None takes what is shown.
    """

    label: str = ""
    log: bool = False
    ticks: Sequence[tuple[Number, str]] | None = None
    limits: tuple[Number, Number] | None = None


@dataclass(frozen=True)
class Line:
    """Points, joined or not.

    Attributes
    ----------
    x, y
        Where; a gap where either is not finite.
    label
        In the legend; empty for none.
    colour
        A number of the palette; -1 is ink, -2 the colour of what needs attention, -3 soft.
    dash
        One of `DASHES`; empty joins no points.
    marked
        Whether a dot stands at every point.
    width
        Of the line, points.
    spread
        Half lengths of bars upwards and downwards at each point.
    """

    x: Numbers
    y: Numbers
    label: str = ""
    colour: int = 0
    dash: str = "solid"
    marked: bool = False
    width: Number = 1.6
    spread: Numbers | None = None


@dataclass(frozen=True)
class Band:
    """A shaded area between two curves."""

    x: Numbers
    low: Numbers
    high: Numbers
    colour: int = 1


@dataclass(frozen=True)
class Bars:
    """A histogram: heights between neighbouring edges."""

    edges: Numbers
    heights: Numbers
    colour: int = 0


@dataclass(frozen=True)
class Note:
    """A few words at a place; to its left where `before`."""

    x: Number
    y: Number
    text: str
    before: bool = False
    colour: int = -1


@dataclass(frozen=True)
class Chart:
    """A plot.

    Attributes
    ----------
    x, y
        Its sides.
    title
        Above it.
    lines, bands, bars, notes
        What it shows, later over earlier.
    across, upright
        Values of y and of x at which a thin line runs through the whole plot.
    height
        Of the plot for a width of 1.
    """

    x: Axis
    y: Axis
    title: str = ""
    lines: Sequence[Line] = ()
    bands: Sequence[Band] = ()
    bars: Sequence[Bars] = ()
    notes: Sequence[Note] = ()
    across: Numbers = ()
    upright: Numbers = ()
    height: Number = 0.56

    def x_limits(self) -> tuple[Number, Number]:
        """From and to along x."""
        shown = [*(line.x for line in self.lines), *(bar.edges for bar in self.bars), *(band.x for band in self.bands)]
        return _limits(self.x, shown, 0.03 if self.lines else 0.01)

    def y_limits(self) -> tuple[Number, Number]:
        """From and to along y; a histogram stands on zero."""
        shown = [line.y for line in self.lines]
        for line in self.lines:
            if line.spread is not None:
                shown += [np.subtract(line.y, line.spread), np.add(line.y, line.spread)]
        low, high = _limits(self.y, [*shown, *(bar.heights for bar in self.bars)], 0.06)
        return (0.0 if self.bars and self.y.limits is None else low), high


def _limits(axis: Axis, shown: Sequence[Numbers | np.ndarray], margin: Number) -> tuple[Number, Number]:
    if axis.limits is not None:
        return axis.limits
    values = np.concatenate([np.asarray(each, dtype=float).ravel() for each in shown]) if shown else np.zeros(0)
    values = values[np.isfinite(values) & (values > 0 if axis.log else True)]
    if not values.size:
        return (0.1, 1.0) if axis.log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if axis.log:
        room = max((high / low) ** margin, 1.1)
        return low / room, high * room
    room = margin * (high - low) or 0.05 * max(abs(high), 1e-3)
    return low - room, high + room


def round_ticks(axis: Axis, low: Number, high: Number, most: int) -> list[tuple[Number, str]]:
    """At most about `most` round values from `low` to `high`, and their labels; the axis's own if it has any."""
    if axis.ticks is not None:
        return [(place, label) for place, label in axis.ticks if low <= place <= high]
    if axis.log:
        return _log_ticks(low, high, most)
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= most)
    places = [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return [(place, f"{round(place, 12):g}") for place in places]


def _log_ticks(low: Number, high: Number, most: int) -> list[tuple[Number, str]]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leading in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        places = [m * 10.0**d for d in decades for m in leading]
        places = [place for place in places if low * 0.999 <= place <= high * 1.001]
        if len(places) <= most:
            break
    else:
        every = math.ceil(len(places) / most)
        places = places[::every]
    return [(place, f"{place:g}") for place in places]
