"""The plots of a comparison of methods: errors against the bound, correlations, time, convergence, FSC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torchsag.evaluation.comparison_tables import Row, Tables
from torchsag.report.chart import Axis, Chart, Line, Note
from torchsag.report.curves import angstrom_axis
from torchsag.report.wording import digits


@dataclass(frozen=True)
class Plot:
    """Charts that belong together, what they are called, what they show in words, and what is to be known of them."""

    heading: str
    charts: Sequence[Chart]
    alt: str
    caption: str


def plots(tables: Tables, known: bool) -> dict[str, Plot]:
    """By the name of the file, the most telling first; errors only where true poses are `known`."""
    summary = tables.summary
    methods = ", ".join(_by_method(summary))
    convergence = _convergence(tables.convergence, "median_rotation_error_deg" if known else "mean_ccc")
    drawn = {
        "time": Plot(
            "Time",
            [_seconds(summary)],
            f"CPU seconds per particle of {methods}",
            "CPU seconds per particle, preparation not counted.",
        ),
        "correlation": Plot(
            "Correlation",
            [_correlations(summary)],
            f"Mean correlation of {methods} by trial",
            "Mean over the particles; bars are standard deviations.",
        ),
        "convergence": Plot(
            "Convergence",
            convergence,
            f"What {methods} reached by evaluations of the objective",
            "By evaluations of the objective over all of a particle's data, its candidates together; the search is not "
            "counted. The dot is the result.",
        ),
        "fsc": Plot(
            "Fourier shell correlation",
            _fsc(tables.fsc),
            f"Fourier shell correlation over resolution, by trial, of {methods}",
            "Averages of every other particle, symmetry imposed, no mask; dashed: at the true poses, where known.",
        ),
    }
    drawn = {name: plot for name, plot in drawn.items() if plot.charts}
    if not known:
        return drawn
    errors = Plot(
        "Rotation error",
        [_errors(summary)],
        f"Median rotation error of {methods} by trial, beside the Cramer-Rao bound",
        "Median over the particles, symmetry divided out; dashed: the Cramer-Rao bound, a root mean square, which is "
        "larger than a median; dotted: the same with this reference in the exact map's place.",
    )
    return {"errors": errors, **drawn}


def _by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    names = dict.fromkeys(row["method"] for row in rows)
    return {name: [row for row in rows if row["method"] == name] for name in names}


def _trials(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["trial"] for row in rows))


def _errors(summary: Sequence[Row]) -> Chart:
    """Against the SNR where every trial has one of its own, else trial by trial."""
    trials = _trials(summary)
    levels = {row["snr"] for row in summary}
    by_snr = None not in levels and len(levels) == len(trials)

    def line(rows: Sequence[Row], quantity: str, label: str, colour: int, dash: str = "solid") -> Line:
        places = [float(row["snr"] if by_snr else trials.index(row["trial"])) for row in rows]
        points = sorted(zip(places, (row[quantity] for row in rows), strict=True))
        x, y = ([point[at] for point in points] for at in (0, 1))
        return Line(x, y, label, colour, dash, marked=dash == "solid")

    lines = [
        line(rows, "median_rotation_error_deg", name, colour)
        for colour, (name, rows) in enumerate(_by_method(summary).items())
    ]
    bounded = {row["trial"]: row for row in summary if row["bound_rotation_deg"]}
    if bounded:
        lines.append(line(list(bounded.values()), "bound_rotation_deg", "bound (rms)", -1, "dashed"))
    known = {row["trial"]: row for row in summary if row.get("bound_with_reference_rotation_deg")}
    if known:
        quantity, label = "bound_with_reference_rotation_deg", "bound with this reference"
        lines.append(line(list(known.values()), quantity, label, -1, "dotted"))
    x = _trial_axis(trials)
    if by_snr:
        ticks = [(level, f"{level:g}") for level in sorted(levels)]
        x = Axis("SNR (signal variance over the box / noise variance per voxel)", log=True, ticks=ticks)
    return Chart(x, Axis("median rotation error (°)", log=True), lines=lines)


def _trial_axis(trials: Sequence[str]) -> Axis:
    ticks = [(float(place), trial) for place, trial in enumerate(trials)]
    return Axis("trial" if len(trials) > 1 else "", ticks=ticks, limits=(-0.5, len(trials) - 0.5))


def _convergence(steps: Sequence[Row], quantity: str) -> list[Chart]:
    """One for each trial; a method that does not say what it spent is left out."""
    steps = [step for step in steps if math.isfinite(step["evaluations"])]
    error = quantity == "median_rotation_error_deg"
    charts = []
    for trial in _trials(steps):
        lines = []
        for colour, (name, rows) in enumerate(_by_method([row for row in steps if row["trial"] == trial]).items()):
            spent, reached = ([row[key] for row in rows] for key in ("evaluations", quantity))
            lines.append(Line(spent, reached, name, colour))
            lines.append(Line(spent[-1:], reached[-1:], colour=colour, dash="", marked=True))
        y = Axis("rotation error (°)" if error else "correlation", log=error)
        charts.append(Chart(Axis("evaluations per particle", log=True), y, trial, lines))
    return charts


def _fsc(rows: Sequence[Row]) -> list[Chart]:
    """One for each trial."""
    charts = []
    for trial in _trials(rows):
        lines = []
        curves = _by_method([row for row in rows if row["trial"] == trial])
        # Methods have the colours that they have in all plots.
        ordered = sorted(curves.items(), key=lambda item: item[0].startswith("true poses"))
        for colour, (name, curve) in enumerate(ordered):
            frequency = [1 / row["resolution_angstrom"] for row in curve]
            true = name.startswith("true poses")
            values = [row["fsc"] for row in curve]
            lines.append(Line(frequency, values, name, -1 if true else colour, "dashed" if true else "solid"))
        x = angstrom_axis(max(1 / row["resolution_angstrom"] for row in rows))
        charts.append(Chart(x, Axis("FSC"), trial, lines, across=[0.143]))
    return charts


def _correlations(summary: Sequence[Row]) -> Chart:
    trials = _trials(summary)
    lines = []
    for colour, (name, rows) in enumerate(_by_method(summary).items()):
        means, spreads = ([row[key] for row in rows] for key in ("mean_ccc", "std_ccc"))
        places = [trials.index(row["trial"]) + 0.06 * colour for row in rows]
        lines.append(Line(places, means, name, colour, "", marked=True, spread=spreads))
    return Chart(_trial_axis(trials), Axis("correlation"), lines=lines)


def _seconds(summary: Sequence[Row]) -> Chart:
    """A row for each method and trial, the first at the top."""
    labels = [f"{row['method']}, {row['trial']}" for row in summary]
    places = [float(len(labels) - 1 - row) for row in range(len(labels))]
    lines, notes = [], []
    for place, row in zip(places, summary, strict=True):
        spent = row["cpu_seconds"]
        lines.append(Line([0.0, spent], [place, place], width=5.0))
        notes.append(Note(spent, place - 0.1, digits(spent)))
    most = max((row["cpu_seconds"] for row in summary), default=1.0)
    y = Axis(ticks=list(zip(places, labels, strict=True)), limits=(-0.7, len(labels) - 0.3))
    x = Axis("CPU seconds per particle", limits=(0.0, 1.15 * most or 1.0))
    return Chart(x, y, lines=lines, notes=notes, height=0.06 + 0.07 * len(labels))
