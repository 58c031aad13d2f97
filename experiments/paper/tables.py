"""Write the tables of the results page from the files that `torchsag compare` left.

    python experiments/paper/tables.py

Every ``<!-- NAME -->`` in README.md is followed by a table up to ``<!-- end -->``: accuracy of the run in the folder
NAME, times for ``times NAME``, tests against SAG for ``tests NAME``, resolutions for ``fsc NAME``. The one in
averaging.md is that of all runs in ``averaging_runs``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from averaging_runs import table as averages

from torchsag.evaluation.comparison_tables import Row, Tables

HERE = Path(__file__).parent


def main() -> None:
    """Replace the tables in place."""
    page = HERE / "README.md"

    def fill(match: re.Match[str]) -> str:
        kind, _, name = match.group(1).rpartition(" ")
        return f"<!-- {match.group(1)} -->\n{KINDS[kind](Tables.read(HERE / name))}\n<!-- end -->"

    _fill(page, fill)
    runs = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (HERE / "averaging_runs").glob("*.json")
    }
    runs = dict(sorted(runs.items(), key=lambda run: _in_order(run[1]["settings"])))
    _fill(HERE / "averaging.md", lambda _: f"<!-- runs -->\n{averages(runs)}\n<!-- end -->")


def _fill(page: Path, fill: Callable[[re.Match[str]], str]) -> None:
    text = re.sub(r"<!-- ((?!end)[\w ]+) -->\n.*?<!-- end -->", fill, page.read_text(encoding="utf-8"), flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


def _in_order(settings: dict) -> tuple:
    names = ("structure", "symmetry", "count", "method", "seed")
    return tuple(settings[name] for name in names)


def accuracy(tables: Tables) -> str:
    """CCC (mean and standard deviation) and median pose error by method and SNR, the highest CCC in bold."""
    trials = _names(tables.summary, "trial")
    best = {trial: max(row["mean_ccc"] for row in tables.summary if row["trial"] == trial) for trial in trials}

    def cell(row: Row) -> str:
        ccc = f"{row['mean_ccc']:.4f}"
        ccc = f"**{ccc}**" if row["mean_ccc"] == best[row["trial"]] else ccc
        return (
            f"{ccc} ({row['std_ccc']:.4f}); {row['median_rotation_error_deg']:.2f} deg, "
            f"{row['median_shift_error_angstrom']:.1f} A; {row['within_10_deg']} of {row['particles']}"
        )

    bounds = {row["trial"]: f"{row['bound_rotation_deg']:.2f} deg, {row['bound_shift_angstrom']:.1f} A (rms)"
              for row in tables.summary}  # fmt: skip
    limits = [["Cramer-Rao bound, exact reference", *(bounds[t] for t in trials)]]
    if all(row.get("bound_with_reference_rotation_deg") for row in tables.summary):
        known = {row["trial"]: f"{row['bound_with_reference_rotation_deg']:.2f} deg, "
                 f"{row['bound_with_reference_shift_angstrom']:.1f} A (rms)" for row in tables.summary}  # fmt: skip
        limits.append(["the same with this reference", *(known[t] for t in trials)])
    return _table(["method", *trials], [*_by_method(tables, cell), *limits])


def times(tables: Tables) -> str:
    """CPU seconds of a particle, ratio to SAG (Algorithm 2) or the first method, and evaluations, at the lowest SNR."""
    lowest = min(row["snr"] for row in tables.summary)
    rows = [row for row in tables.summary if row["snr"] == lowest]
    first = next((row for row in rows if row["method"] == "sag"), rows[0])
    cells = [
        [
            row["method"],
            f"{row['cpu_seconds']:.3f}",
            f"{row['cpu_seconds'] / first['cpu_seconds']:.2f}",
            f"{row['mean_evaluations']:.0f}",
        ]
        for row in rows
    ]
    return _table(["method", "CPU s a particle", f"ratio to {first['method']}", "evaluations"], cells)


def tests(tables: Tables) -> str:
    """Differences of SAG from each other method in CCC and rotation error, with p-values and effect sizes."""
    rows = []
    for test in tables.tests:
        if "sag" in (test["first"], test["second"]) and test["quantity"] != "shift_error_angstrom":
            sign = 1 if test["first"] == "sag" else -1
            other = test["second"] if sign == 1 else test["first"]
            rows.append([
                test["trial"], test["quantity"], f"sag - {other}", f"{sign * test['mean_difference']:+.2g}",
                f"{test['t_p_holm']:.2g}", f"{test['wilcoxon_p_holm']:.2g}", f"{sign * test['cohen_d']:+.2f}",
                f"{sign * test['rank_biserial']:+.2f}",
            ])  # fmt: skip
    head = ["trial", "quantity", "difference", "mean", "t-test p", "Wilcoxon p", "Cohen's d", "rank-biserial"]
    return _table(head, rows)


def fsc(tables: Tables) -> str:
    """Where the FSC of two half-averages falls below 0.143."""
    trials = _names(tables.summary, "trial")
    oracle = {row["trial"]: f"{row['oracle_fsc_0143_angstrom']:.1f} A" for row in tables.summary}
    rows = _by_method(tables, lambda row: f"{row['fsc_0143_angstrom']:.1f} A")
    return _table(["method", *trials], [*rows, ["true poses", *(oracle[trial] for trial in trials)]])


KINDS: dict[str, Callable[[Tables], str]] = {"": accuracy, "times": times, "tests": tests, "fsc": fsc}


def _by_method(tables: Tables, cell: Callable[[Row], str]) -> list[list[str]]:
    return [
        [method, *(cell(row) for row in tables.summary if row["method"] == method)]
        for method in _names(tables.summary, "method")
    ]


def _names(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
