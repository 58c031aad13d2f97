"""The page of a comparison of methods, from the files that the run left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchsag.evaluation.comparison_tables import Row, Tables
from torchsag.io import write_text
from torchsag.report.comparison_charts import Plot, plots
from torchsag.report.comparison_headline import headline
from torchsag.report.page import Picture, Section, Table, render
from torchsag.report.png_chart import save_png
from torchsag.report.running import write_running
from torchsag.report.svg_chart import panels
from torchsag.runs.job import Moment

_SO_FAR = {
    "median_rotation_error_deg": "rotation error, median (°)",
    "median_shift_error_angstrom": "shift error, median (Å)",
    "mean_ccc": "correlation, mean",
    "cpu_seconds": "CPU seconds per particle",
}


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
        drawn = plots(tables, known)
        for name, plot in drawn.items():
            save_png(folder / f"{name}.png", plot.charts)
        sections = [_section(plot, number < 2) for number, plot in enumerate(drawn.values())]
        sections += [_numbers(tables.summary), _tests(tables.tests)]
        write_text(folder / "report.html", render(self.title, headline(tables.summary, tables.tests, known), sections))

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """Write the page of a comparison that goes on."""
        done = [(entry.label, entry.numbers) for entry in moment.entries if entry.stage == "trial"]
        rows = [[label, *(found.get(name) for name in _SO_FAR)] for label, found in done]
        table = Table("Methods and trials that are done", ["trial and method", *_SO_FAR.values()], rows)
        sections = [Section("So far", table=table)] if rows else []
        write_running(folder, self.title, moment, due, sections)


def _section(plot: Plot, leading: bool) -> Section:
    picture = Picture(panels(plot.charts, plot.alt), plot.caption)
    return Section(plot.heading, pictures=[picture], place="first" if leading else "body")


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
