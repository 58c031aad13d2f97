"""The page that compares the jobs of a sweep: numbers with their intervals, paired tests on shared particles."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.evaluation.comparison_tables import Tables
from torchsag.evaluation.confidence import mean_interval, median_interval
from torchsag.evaluation.paired_tests import paired_tests
from torchsag.io import write_text
from torchsag.report.page import Headline, Section, Table, render
from torchsag.report.wording import digits, worded_heading
from torchsag.sweeps.job import Job, jobs_below
from torchsag.sweeps.summary import SWEEP_PAGE
from torchsag.sweeps.table import results_below

_QUANTITIES = {
    "rotation_error_deg": "rotation error (°)",
    "shift_error_angstrom": "shift error (Å)",
    "ccc": "correlation",
    "score": "score",
}
_LARGE_IS_GOOD = ("ccc", "score")
# Pairs grow with the square of the jobs; a reader of more has a table in results.csv.
_MOST_TESTED = 24
_FEWEST = 6  # of fewer values no two enclose the median with 95 %, and Wilcoxon's least p is 1/16

Values = dict[str, dict[str, float]]
"""By label of a job and by name of a particle."""


@dataclass(frozen=True)
class SweepPage:
    """Makes ``sweep.html`` in the folder of a sweep from what its jobs left there.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Jobs of a sweep"

    def __call__(self, folder: Path) -> None:
        """Write the page.

        Raises
        ------
        InputError
            If there are no jobs.
        """
        jobs, rows = jobs_below(folder), results_below(folder)
        measured = _measured(folder, [job for job in jobs if not job.error])
        over_seeds = [_over_seeds(jobs), *_tests_over_seeds(jobs)]
        sections = [_jobs(jobs, rows), *_medians(measured), *over_seeds, *_tests(measured), _failures(jobs)]
        write_text(folder / SWEEP_PAGE, render(self.title, _headline(jobs), sections))


def _headline(jobs: Sequence[Job]) -> Headline:
    good = [job for job in jobs if not job.error]
    merits = [job for job in good if job.merit is not None and math.isfinite(job.merit)]
    findings = [f"{len(jobs) - len(good)} failed, see below."] if len(good) < len(jobs) else []
    sentence = f"{len(good)} of {len(jobs)} jobs ended well."
    if len(merits) > 1:
        best = min(merits, key=lambda job: job.merit if job.merit is not None else math.inf)
        sentence += f" Best: {best.folder}, {digits(best.merit or 0.0)}."
        findings.append("The best job is the luckiest, too: see the intervals and the paired tests.")
    return Headline(sentence, findings=findings)


def _jobs(jobs: Sequence[Job], rows: Sequence[Mapping[str, Any]]) -> Section:
    """Every job with what varies and with the numbers of its summary."""
    varied = list(dict.fromkeys(key for job in jobs for key in job.settings))
    left_out = {"job", "error", "merit", *varied}
    found = [
        key
        for key in (rows[0] if rows else {})
        if key not in left_out and not key.startswith(("versions.", "git.")) and len({row[key] for row in rows}) > 1
    ]
    merit = ["merit"] if any(row.get("merit") is not None for row in rows) else []
    columns = ["job", *varied, *found, *merit]
    heads = ["job", *varied, *map(worded_heading, found), *merit]
    table = Table("Every job; a heading sorts", heads, [[row.get(key) for key in columns] for row in rows])
    return Section("Jobs", table=table)


def _measured(folder: Path, jobs: Sequence[Job]) -> dict[tuple[str, str], Values]:
    """Each quantity of each particle, by trial and quantity."""
    found: dict[tuple[str, str], Values] = {}
    if (folder / "particles.csv").is_file():
        for row in Tables.read(folder).particles:
            for quantity in _QUANTITIES:
                if row.get(quantity) is not None:
                    by_method = found.setdefault((str(row["trial"]), quantity), {})
                    by_method.setdefault(str(row["method"]), {})[str(row["particle"])] = float(row[quantity])
        return found
    for job in jobs:
        for quantity, values in _of_run(folder / job.folder / "metrics.json").items():
            found.setdefault(("", quantity), {})[job.folder] = values
    return found


def _of_run(path: Path) -> dict[str, dict[str, float]]:
    try:
        particles = json.loads(path.read_text(encoding="utf-8")).get("particles")
    except (OSError, ValueError):
        return {}
    if not isinstance(particles, dict) or "name" not in particles:
        return {}
    names = particles["name"]
    return {
        quantity: {n: v for n, v in zip(names, particles[quantity], strict=True) if v is not None}
        for quantity in _QUANTITIES
        if quantity in particles
    }


def _medians(measured: Mapping[tuple[str, str], Values]) -> list[Section]:
    """Medians over the particles with their intervals."""
    sections = []
    for quantity, word in _QUANTITIES.items():
        rows = []
        for (trial, name), jobs in measured.items():
            if name == quantity:
                rows += [[trial, label, *_with_interval(list(values.values()))] for label, values in jobs.items()]
        if rows:
            columns = ["trial", "job", "particles", f"median {word}", "from", "to"]
            caption = f"Median {word} over the particles, with its 95 % interval, whatever the distribution"
            if any(row[-1] is None for row in rows):
                caption += f"; fewer than {_FEWEST} particles have none"
            sections.append(Section(f"{word[0].upper()}{word[1:]}", table=_with_trials(caption, columns, rows)))
    return sections


def _with_interval(values: Sequence[float]) -> list[Any]:
    low, high = median_interval(values) or (None, None)
    return [len(values), float(np.median(values)) if values else None, low, high]


def _over_seeds(jobs: Sequence[Job]) -> Section | None:
    """Jobs that differ in their seed alone are repetitions of one experiment."""
    if len({seed for merits in _merits_by_seed(jobs).values() for seed in merits}) < 2:
        return None
    cells = []
    for label, merits in _merits_by_seed(jobs).items():
        values = list(merits.values())
        low, high = mean_interval(values) or (None, None)
        cells.append([label, len(values), float(np.mean(values)), low, high])
    caption = "Mean merit over seeds (smaller is better), with Student's 95 % interval"
    table = Table(caption, ["settings", "seeds", "mean merit", "from", "to"], cells)
    return Section("Over seeds", table=table)


def _merits_by_seed(jobs: Sequence[Job]) -> dict[str, dict[str, float]]:
    """Merits of jobs that ended well, by what is set besides the seed, and by seed."""
    found: dict[str, dict[str, float]] = {}
    for job in jobs:
        if job.error or job.merit is None or not math.isfinite(job.merit) or "seed" not in job.settings:
            continue
        others = ", ".join(f"{key}={value}" for key, value in job.settings.items() if key != "seed")
        found.setdefault(others or "all", {})[job.settings["seed"]] = job.merit
    return found


def _tests_over_seeds(jobs: Sequence[Job]) -> list[Section]:
    """Every two settings on the seeds that both have: what varies from seed to seed alike cancels."""
    cells: list[list[Any]] = []
    merits = _merits_by_seed(jobs)
    pairs = list(itertools.combinations(merits, 2)) if len(merits) <= _MOST_TESTED else []
    for first, second in pairs:
        seeds = sorted(merits[first].keys() & merits[second].keys())
        if len(seeds) < 2:
            continue
        differences = [merits[first][seed] - merits[second][seed] for seed in seeds]
        low, high = mean_interval(differences) or (None, None)
        sure = low is not None and high is not None and (low > 0 or high < 0)
        better = second if float(np.mean(differences)) > 0 else first
        values = [np.array([merits[name][seed] for seed in seeds]) for name in (first, second)]
        (test,) = paired_tests(dict(zip((first, second), values, strict=True)))
        mean = float(np.mean(differences))
        cells.append([first, second, len(seeds), mean, low, high, test.t_p, better if sure else ""])
    if not cells:
        return []
    columns = ["settings", "minus settings", "seeds", "mean difference", "from", "to", "p", "better"]
    caption = "Differences of merit at the same seed (smaller is better), with Student's 95 % interval and p"
    if len(cells) > 1:
        caption += f"; {len(cells)} pairs: one in twenty would seem to differ by chance"
    return [Section("Paired over seeds", table=Table(caption, columns, cells))]


def _tests(measured: Mapping[tuple[str, str], Values]) -> list[Section]:
    rows: list[list[Any]] = []
    for (trial, quantity), jobs in measured.items():
        if not 1 < len(jobs) <= _MOST_TESTED:
            continue
        shared = set.intersection(*(set(values) for values in jobs.values()))
        if len(shared) < 2:
            continue
        order = sorted(shared)
        for test in paired_tests({label: np.array([of[name] for name in order]) for label, of in jobs.items()}):
            better = _better(test.mean_difference, quantity, test.first, test.second)
            rows.append([
                trial, _QUANTITIES[quantity], test.first, test.second, test.particles, test.mean_difference,
                test.wilcoxon_p_holm, test.cohen_d, better if test.wilcoxon_p_holm < 0.05 else "",
            ])  # fmt: skip
    if not rows:
        return []
    columns = ["trial", "quantity", "job", "minus job", "particles", "mean difference", "p", "Cohen's d", "better"]
    caption = "Every pair on the particles that all share: p of the Wilcoxon signed-rank test after Holm's correction"
    if min(row[4] for row in rows) < _FEWEST:
        caption += f"; fewer than {_FEWEST} particles never come below 0.05"
    return [Section("Paired tests", table=_with_trials(caption, columns, rows))]


def _with_trials(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table whose first column names trials, which only comparisons have."""
    start = 0 if any(row[0] for row in rows) else 1
    return Table(caption, columns[start:], [row[start:] for row in rows])


def _better(difference: float, quantity: str, first: str, second: str) -> str:
    return first if (difference > 0) == (quantity in _LARGE_IS_GOOD) else second


def _failures(jobs: Sequence[Job]) -> Section | None:
    failed = [f"{job.folder}: {job.error}" for job in jobs if job.error]
    return Section("Failed", points=failed) if failed else None
