"""The page of a comparison of methods, from the files that the run left."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from torchsag.errors import InputError
from torchsag.report.page import Section, render

Row = dict[str, str]


@dataclass(frozen=True)
class ComparisonPage:
    """Errors beside the Cramer-Rao bound, correlations and times of several methods, and the paired tests.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Comparison of methods"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``summary.csv`` and ``paired_tests.csv`` in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        try:
            summary, tests = _read(folder / "summary.csv"), _read(folder / "paired_tests.csv")
        except OSError as error:
            raise InputError(
                f"{folder}: expected the files of a finished comparison (summary.csv, paired_tests.csv), got: {error}"
            ) from error
        sections = [
            Section("Correlation", "Mean over the particles; bars are standard deviations.", _correlations(summary)),
            Section("Time", "CPU seconds per particle, preparation not counted.", _seconds(summary)),
            Section("Paired tests", "Wilcoxon signed-rank test, p after Holm's correction.", rows=_tests(tests)),
        ]
        if summary[0]["median_rotation_error_deg"]:
            text = "Median over the particles, symmetry divided out; dashed: the Cramer-Rao bound (root mean square)."
            sections.insert(0, Section("Rotation error", text, _errors(summary)))
        (folder / "report.html").write_text(render(self.title, sections), encoding="utf-8")


def _read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _by_method(summary: Sequence[Row]) -> dict[str, list[Row]]:
    return {
        name: [row for row in summary if row["method"] == name] for name in dict.fromkeys(r["method"] for r in summary)
    }


def _errors(summary: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(6, 3.6))
    axis = figure.subplots()
    for name, rows in _by_method(summary).items():
        axis.plot([r["trial"] for r in rows], [float(r["median_rotation_error_deg"]) for r in rows], "o-", label=name)
    bounded = [row for row in next(iter(_by_method(summary).values())) if row["bound_rotation_deg"]]
    if bounded:
        bound = [float(r["bound_rotation_deg"]) for r in bounded]
        axis.plot([r["trial"] for r in bounded], bound, "k--", label="bound")
    axis.set_yscale("log")
    axis.set_ylabel("rotation error (deg)")
    axis.legend(fontsize=8)
    return figure


def _correlations(summary: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(6, 3.6))
    axis = figure.subplots()
    for place, (name, rows) in enumerate(_by_method(summary).items()):
        means, spreads = ([float(row[key]) for row in rows] for key in ("mean_ccc", "std_ccc"))
        axis.errorbar([trial + 0.08 * place for trial in range(len(rows))], means, spreads, fmt="o", label=name)
    trials = list(dict.fromkeys(row["trial"] for row in summary))
    axis.set_xticks(range(len(trials)), trials)
    axis.set_ylabel("CCC")
    axis.legend(fontsize=8)
    return figure


def _seconds(summary: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(6, 0.4 + 0.35 * len(summary)))
    axis = figure.subplots()
    labels = [f"{row['method']}, {row['trial']}" for row in summary]
    axis.barh(range(len(labels)), [float(row["cpu_seconds"]) for row in summary], color="#4477aa")
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("CPU seconds per particle")
    return figure


def _tests(tests: Sequence[Row]) -> list[tuple[str, str]]:
    return [
        (
            f"{row['trial']}, {row['quantity']}: {row['first']} less {row['second']}",
            f"{float(row['mean_difference']):.3g} (p {float(row['wilcoxon_p_holm']):.2g}, "
            f"rank-biserial {float(row['rank_biserial']):.2f})",
        )
        for row in tests
    ]
