"""The page of a comparison of methods, from the files that the run left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchsag.evaluation.comparison_tables import Row, Tables
from torchsag.io import write_text
from torchsag.report.comparison_charts import Plot, plots
from torchsag.report.page import Headline, Picture, Section, Table, render
from torchsag.report.png_chart import save_png
from torchsag.report.running import write_running
from torchsag.report.svg_chart import panels
from torchsag.report.wording import digits
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
        write_text(folder / "report.html", render(self.title, _headline(tables.summary, known), sections))

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """Write the page of a comparison that goes on."""
        done = [(entry.label, entry.numbers) for entry in moment.entries if entry.stage == "trial"]
        rows = [[label, *(found.get(name) for name in _SO_FAR)] for label, found in done]
        table = Table("Methods and trials that are done", ["trial and method", *_SO_FAR.values()], rows)
        sections = [Section("So far", table=table)] if rows else []
        write_running(folder, self.title, moment, due, sections)


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
    own = row.get("bound_with_reference_rotation_deg")
    with_this = f", with this reference {digits(own)}°" if own else ""
    limit = f" (Cramer-Rao bound: {digits(bound)}° root mean square{with_this})" if bound else ""
    return f"{row['method']}, {digits(row['median_rotation_error_deg'])}° in the median{limit}"


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
