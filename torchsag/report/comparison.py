"""The page of a comparison of methods, from the files that the run left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torchsag.evaluation.comparison_tables import Row, Tables
from torchsag.io import write_text
from torchsag.report.curves import angstrom_axis
from torchsag.report.figures import blank, log_scale
from torchsag.report.page import Headline, Picture, Section, Table, render
from torchsag.report.wording import digits

if TYPE_CHECKING:
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
        plots = _plots(tables, known)
        for name, (_, picture) in plots.items():
            picture.figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
        leading = list(plots)[:2]
        sections = [
            Section(heading, pictures=[picture], place="first" if name in leading else "body")
            for name, (heading, picture) in plots.items()
        ]
        sections += [_numbers(tables.summary), _tests(tables.tests)]
        write_text(folder / "report.html", render(self.title, _headline(tables.summary, known), sections))


def _headline(summary: Sequence[Row], known: bool) -> Headline:
    """Which method came nearest to the truth, or correlates best where there is none; a list by trial if many."""
    trials = list(dict.fromkeys(row["trial"] for row in summary))
    best = {trial: _best([row for row in summary if row["trial"] == trial], known) for trial in trials}
    does = "errs least" if known else "correlates best"
    winners = list(dict.fromkeys(row["method"] for row in best.values()))
    if len(winners) == 1:
        where = f" in all {len(trials)} trials" if len(trials) > 1 else ""
        sentence = f"{winners[0]} {does}{where}."
    else:
        sentence = f"No method {does} everywhere."
    if not known:
        sentence += " No true poses are known."
    return Headline(sentence, findings=[f"{trial}: {_said(row, known)}." for trial, row in best.items()])


def _best(rows: Sequence[Row], known: bool) -> Row:
    if known:
        return min(rows, key=lambda row: row["median_rotation_error_deg"])
    return max(rows, key=lambda row: row["mean_ccc"])


def _said(row: Row, known: bool) -> str:
    if not known:
        return f"{row['method']}, correlation {digits(row['mean_ccc'])}"
    bound = row["bound_rotation_deg"]
    limit = f" (Cramer-Rao bound: {digits(bound)}° root mean square)" if bound else ""
    return f"{row['method']}, {digits(row['median_rotation_error_deg'])}° in the median{limit}"


def _plots(tables: Tables, known: bool) -> dict[str, tuple[str, Picture]]:
    """By the name of the file: heading and picture, the most telling first."""
    summary = tables.summary
    methods = ", ".join(_by_method(summary))
    reached = _convergence(tables.convergence, "median_rotation_error_deg" if known else "mean_ccc")
    plots = {
        "time": (
            "Time",
            Picture(
                _seconds(summary), f"CPU seconds per particle of {methods}", "CPU seconds per particle, preparation "
                "not counted.",
            ),
        ),
        "correlation": (
            "Correlation",
            Picture(
                _correlations(summary), f"Mean correlation of {methods} by trial", "Mean over the particles; bars are "
                "standard deviations.",
            ),
        ),
        "convergence": (
            "Convergence",
            Picture(
                reached, f"What {methods} reached by evaluations of the objective",
                "By evaluations of the objective over all of a particle's data, its candidates together; the search "
                "is not counted. The last mark is the result.",
            ),
        ),
        "fsc": (
            "Fourier shell correlation",
            Picture(
                _fsc(tables.fsc), f"Fourier shell correlation over resolution, by trial, of {methods}",
                "Averages of every other particle, symmetry imposed, no mask; dashed: at the true poses, where known.",
            ),
        ),
    }  # fmt: skip
    if not known:
        return plots
    errors = Picture(
        _errors(summary),
        f"Median rotation error of {methods} by trial, beside the Cramer-Rao bound",
        "Median over the particles, symmetry divided out; dashed: the Cramer-Rao bound, a root mean square, "
        "which is larger than a median.",
    )
    return {"errors": ("Rotation error", errors), **plots}


def _numbers(summary: Sequence[Row]) -> Section:
    columns = {
        "trial": "trial",
        "method": "method",
        "median_rotation_error_deg": "rotation error, median (°)",
        "median_shift_error_angstrom": "shift error, median (Å)",
        "mean_ccc": "correlation, mean",
        "fsc_0143_angstrom": "resolution, FSC 0.143 (Å)",
        "cpu_seconds": "CPU seconds per particle",
    }
    shown = [name for name in columns if any(row.get(name) is not None for row in summary)]
    rows = [[row[name] for name in shown] for row in summary]
    table = Table("Every method in every trial", [columns[name] for name in shown], rows)
    return Section("All numbers", table=table)


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
    log_scale(axis.set_yscale, axis.yaxis)
    axis.set_ylabel("median rotation error (°)")
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
        log_scale(axis.set_xscale, axis.xaxis)
        if quantity == "median_rotation_error_deg":
            log_scale(axis.set_yscale, axis.yaxis)
        axis.set_title(trial, fontsize=9)
        axis.set_xlabel("evaluations per particle")
        axis.set_ylabel({"mean_ccc": "CCC"}.get(quantity, "rotation error (°)"))
    if steps:
        axes[-1].legend(fontsize=7)
    figure.tight_layout()
    return figure


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
        angstrom_axis(axis, max(1 / row["resolution_angstrom"] for row in rows))
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


def _tests(tests: Sequence[Row]) -> Section:
    words = {
        "ccc": "correlation",
        "rotation_error_deg": "rotation error (°)",
        "shift_error_angstrom": "shift error (Å)",
    }
    columns = (
        "trial", "quantity", "method", "less method", "mean difference", "p", "Cohen's d", "rank-biserial correlation"
    )  # fmt: skip
    keys = ("first", "second", "mean_difference", "wilcoxon_p_holm", "cohen_d", "rank_biserial")
    rows = [[row["trial"], words.get(row["quantity"], row["quantity"]), *(row[key] for key in keys)] for row in tests]
    caption = "Every pair of methods: p of the Wilcoxon signed-rank test after Holm's correction, effect sizes"
    return Section("Paired tests", table=Table(caption, columns, rows))
