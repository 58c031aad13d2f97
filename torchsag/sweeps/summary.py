"""What the jobs of a sweep say together: one comparison of all comparisons, one table, one page."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from torchsag.csv_cells import cell
from torchsag.evaluation.comparison_tables import Tables
from torchsag.runs.outcome import Report
from torchsag.runs.output_folder import claim, publish
from torchsag.sweeps.job import Job, jobs_below
from torchsag.sweeps.table import results_below, write_results

SWEEP_PAGE = "sweep.html"
_IN_THE_TRIALS_NAME = ("trials.snr",)


def summarise_sweep(out: Path, report: Report | None, page: Report | None = None) -> list[Path]:
    """Write tables of jobs and of results, and the tables and plots of all comparisons as of one; returns the files.

    Parameters
    ----------
    out
        The sweep's folder.
    report
        Makes the page of the comparisons, if there are any.
    page
        Makes the page of the jobs.
    """
    jobs = jobs_below(out)
    compared = [job for job in jobs if not job.error and (out / job.folder / "particles.csv").exists()]
    with claim(out), publish(out) as staging:
        _write_jobs(staging / "jobs.csv", jobs)
        write_results(staging, results_below(out))
        if compared:
            _together(out, compared).write(staging)
            if report is not None:
                report(staging)
        made = [out / path.name for path in staging.iterdir()]
    if page is not None:
        page(out)
        made.append(out / SWEEP_PAGE)
    return sorted(made)


def _write_jobs(path: Path, jobs: list[Job]) -> None:
    varied = list(dict.fromkeys(key for job in jobs for key in job.settings))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["job", *varied, "merit", "error"])
        for job in jobs:
            row = [job.folder, *(job.settings.get(k, "") for k in varied), job.merit, job.error]
            writer.writerow(map(cell, row))


def _together(out: Path, jobs: list[Job]) -> Tables:
    tables = Tables()
    for job in jobs:
        method, trial = labels(job.settings)
        own = Tables.read(out / job.folder)
        for name in ("particles", "summary", "convergence", "fsc"):
            getattr(tables, name).extend(
                {**row, "method": row["method"] + method, "trial": row["trial"] + trial} for row in getattr(own, name)
            )
    return tables


def labels(settings: Mapping[str, str]) -> tuple[str, str]:
    """What to add to the names of methods and of trials, so that every setting that varies is seen."""
    method = trial = ""
    for key, value in settings.items():
        place = key.rpartition("@")[2]
        words = f", {place.rpartition('.')[2]}={value}"
        if key == "method" or key in _IN_THE_TRIALS_NAME:
            continue  # the names say it already
        if place.startswith(("method.", "methods.")):
            method += words
        else:
            trial += words
    return method, trial
