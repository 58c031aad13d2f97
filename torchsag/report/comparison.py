"""The page of a comparison of methods, from the files that the run left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torchsag.evaluation.comparison_tables import Row, Tables
from torchsag.io import write_text
from torchsag.report.figures import blank
from torchsag.report.page import Section, render

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_MARKERS = "os^vD<>ph*XP"


@dataclass(frozen=True)
class ComparisonPage:
    """Errors beside the Cramer-Rao bound, correlations, times and convergence of several methods, and paired tests.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Comparison of methods"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from the tables in `folder`, and each plot as a file beside it.

        Raises
        ------
        InputError
            If tables are missing.
        """
        tables = Tables.read(folder)
        known = tables.summary[0]["median_rotation_error_deg"] is not None
        plots = {
            "correlation": (
                "Correlation", "Mean over the particles; bars are standard deviations.", _correlations(tables.summary)
            ),
            "time": ("Time", "CPU seconds per particle, preparation not counted.", _seconds(tables.summary)),
            "convergence": (
                "Convergence",
                "By evaluations of the objective over all of a particle's data, its candidates together; the search "
                "is not counted. The last mark is the result.",
                _convergence(tables.convergence, "median_rotation_error_deg" if known else "mean_ccc"),
            ),
            "fsc": (
                "Fourier shell correlation",
                "Averages of every other particle, symmetry imposed, no mask; dashed: at the true poses, where known.",
                _fsc(tables.fsc),
            ),
        }  # fmt: skip
        if known:
            text = "Median over the particles, symmetry divided out; dashed: the Cramer-Rao bound (root mean square)."
            plots = {"errors": ("Rotation error", text, _errors(tables.summary)), **plots}
        for name, (_, _, figure) in plots.items():
            figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
        sections = [Section(*plot) for plot in plots.values()]
        text = "Mean difference, p of the Wilcoxon signed-rank test after Holm's correction, effect sizes."
        sections.append(Section("Paired tests", text, rows=_tests(tables.tests)))
        write_text(folder / "report.html", render(self.title, sections))


def _by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    names = dict.fromkeys(row["method"] for row in rows)
    return {name: [row for row in rows if row["method"] == name] for name in names}


def _errors(summary: Sequence[Row]) -> Figure:
    """Against the SNR where every trial has one of its own, else trial by trial."""
    figure = blank(figsize=(6, 3.8))
    axis = figure.subplots()
    trials = list(dict.fromkeys(row["trial"] for row in summary))
    levels = {row["snr"] for row in summary}
    by_snr = None not in levels and len(levels) == len(trials)

    def draw(rows: Sequence[Row], quantity: str, style: str, label: str) -> None:
        places = [row["snr"] if by_snr else trials.index(row["trial"]) for row in rows]
        points = sorted(zip(places, (row[quantity] for row in rows), strict=True))
        axis.plot([place for place, _ in points], [error for _, error in points], style, label=label)

    for number, (name, rows) in enumerate(_by_method(summary).items()):
        draw(rows, "median_rotation_error_deg", f"{_MARKERS[number % len(_MARKERS)]}-", name)
    bounded = {row["trial"]: row for row in summary if row["bound_rotation_deg"]}
    draw(list(bounded.values()), "bound_rotation_deg", "k--", "bound (rms)")
    if by_snr:
        axis.set_xscale("log")
        axis.set_xticks(sorted(levels), [f"{level:g}" for level in sorted(levels)])
        axis.set_xticks([], minor=True)
        axis.set_xlabel("SNR (signal variance over the box / noise variance per voxel)")
    else:
        axis.set_xticks(range(len(trials)), trials)
    _log_scale(axis.set_yscale, axis.yaxis)
    axis.set_ylabel("median rotation error (deg)")
    axis.legend(fontsize=7)
    return figure


def _convergence(steps: Sequence[Row], quantity: str) -> Figure:
    """A panel for each trial; a method that does not say what it spent is left out."""
    steps = [step for step in steps if math.isfinite(step["evaluations"])]
    trials = list(dict.fromkeys(row["trial"] for row in steps))
    figure = blank(figsize=(4.2 * max(1, len(trials)), 3.6))
    axes = figure.subplots(1, max(1, len(trials)), squeeze=False)[0]
    for axis, trial in zip(axes, trials, strict=False):
        for number, (name, rows) in enumerate(_by_method([row for row in steps if row["trial"] == trial]).items()):
            marker = _MARKERS[number % len(_MARKERS)]
            spent, reached = ([row[key] for row in rows] for key in ("evaluations", quantity))
            axis.plot(spent, reached, f"{marker}-", markevery=[len(rows) - 1], label=name)
        _log_scale(axis.set_xscale, axis.xaxis)
        if quantity == "median_rotation_error_deg":
            _log_scale(axis.set_yscale, axis.yaxis)
        axis.set_title(trial, fontsize=9)
        axis.set_xlabel("evaluations per particle")
        axis.set_ylabel({"mean_ccc": "CCC"}.get(quantity, "rotation error (deg)"))
    if steps:
        axes[-1].legend(fontsize=7)
    figure.tight_layout()
    return figure


def _log_scale(set_scale: Callable[[str], None], axis: Axis) -> None:
    """Few and plain labels, as an axis often spans less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _fsc(rows: Sequence[Row]) -> Figure:
    """A panel for each trial."""
    trials = list(dict.fromkeys(row["trial"] for row in rows))
    figure = blank(figsize=(4.2 * len(trials), 3.4))
    axes = figure.subplots(1, len(trials), squeeze=False, sharey=True)[0]
    for axis, trial in zip(axes, trials, strict=True):
        for name, curve in _by_method([row for row in rows if row["trial"] == trial]).items():
            frequency = [1 / row["resolution_angstrom"] for row in curve]
            style = "k--" if name.startswith("true poses") else "-"
            axis.plot(frequency, [row["fsc"] for row in curve], style, label=name)
        axis.axhline(0.143, color="grey", linewidth=0.7)
        axis.set_title(trial, fontsize=9)
        axis.set_xlabel("spatial frequency (1/angstrom)")
    axes[0].set_ylabel("FSC")
    axes[-1].legend(fontsize=7)
    figure.tight_layout()
    return figure


def _correlations(summary: Sequence[Row]) -> Figure:
    figure = blank(figsize=(6, 3.6))
    axis = figure.subplots()
    trials = list(dict.fromkeys(row["trial"] for row in summary))
    for place, (name, rows) in enumerate(_by_method(summary).items()):
        means, spreads = ([row[key] for row in rows] for key in ("mean_ccc", "std_ccc"))
        places = [trials.index(row["trial"]) + 0.06 * place for row in rows]
        axis.errorbar(places, means, [0 if math.isnan(s) else s for s in spreads], fmt="o", label=name)
    axis.set_xticks(range(len(trials)), trials)
    axis.set_ylabel("CCC")
    axis.legend(fontsize=8)
    return figure


def _seconds(summary: Sequence[Row]) -> Figure:
    figure = blank(figsize=(6, 0.4 + 0.35 * len(summary)))
    axis = figure.subplots()
    labels = [f"{row['method']}, {row['trial']}" for row in summary]
    bars = axis.barh(range(len(labels)), [row["cpu_seconds"] for row in summary], color="#4477aa")
    axis.bar_label(bars, fmt="{:.2g}", padding=3, fontsize=8)
    axis.margins(x=0.1)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("CPU seconds per particle")
    return figure


def _tests(tests: Sequence[Row]) -> list[tuple[str, str]]:
    return [
        (
            f"{row['trial']}, {row['quantity']}: {row['first']} less {row['second']}",
            f"{row['mean_difference']:.3g} (p {row['wilcoxon_p_holm']:.2g}, Cohen's d {row['cohen_d']:.2f}, "
            f"rank-biserial {row['rank_biserial']:.2f})",
        )
        for row in tests
    ]
