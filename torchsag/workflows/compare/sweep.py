"""The jobs of a sweep: what each left, and one comparison over all of them.

Every job's folder holds a ``job.json`` with the settings that vary and how it ended. Jobs of several sweeps into the
same folder count together, so that a sweep can be added to.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torchsag.csv_cells import cell
from torchsag.evaluation.comparison_tables import Tables
from torchsag.runs.outcome import Report
from torchsag.runs.output_folder import claim, publish

_RECORD = "job.json"
_IN_THE_TRIALS_NAME = ("trials.snr",)


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes
    ----------
    folder
        Its name below the sweep's folder.
    settings
        The keys that vary, and their values in this job.
    error
        Why it failed; empty for a job that ended well.
    merit
        See `torchsag.runs.outcome.Outcome`.
    """

    folder: str
    settings: Mapping[str, str]
    error: str = ""
    merit: float | None = None

    def write(self, out: Path) -> None:
        """Leave the record in the job's folder below `out`."""
        (out / self.folder).mkdir(parents=True, exist_ok=True)
        (out / self.folder / _RECORD).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def jobs_below(out: Path) -> list[Job]:
    """The jobs that left a record, by folder."""
    return [Job(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(out.rglob(_RECORD))]


def forget_failures(out: Path) -> None:
    """Before a sweep starts: what failed in an earlier one is tried again, or no longer asked for."""
    for job in jobs_below(out):
        if job.error:
            (out / job.folder / _RECORD).unlink()


def summarise_sweep(out: Path, report: Report | None) -> list[Path]:
    """Write ``jobs.csv``, and the tables and plots of all comparisons as of one; returns the files."""
    jobs = jobs_below(out)
    compared = [job for job in jobs if not job.error and (out / job.folder / "particles.csv").exists()]
    with claim(out), publish(out) as staging:
        _write_jobs(staging / "jobs.csv", jobs)
        if compared:
            _together(out, compared).write(staging)
            if report is not None:
                report(staging)
        made = [out / path.name for path in staging.iterdir()]
    return sorted(made)


def _together(out: Path, jobs: list[Job]) -> Tables:
    tables = Tables()
    for job in jobs:
        method, trial = _labels(job.settings)
        own = Tables.read(out / job.folder)
        for name in ("particles", "summary", "convergence", "fsc"):
            getattr(tables, name).extend(
                {**row, "method": row["method"] + method, "trial": row["trial"] + trial} for row in getattr(own, name)
            )
    return tables


def _labels(settings: Mapping[str, str]) -> tuple[str, str]:
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


def _write_jobs(path: Path, jobs: list[Job]) -> None:
    varied = list(dict.fromkeys(key for job in jobs for key in job.settings))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["job", *varied, "merit", "error"])
        for job in jobs:
            row = [job.folder, *(job.settings.get(k, "") for k in varied), job.merit, job.error]
            writer.writerow(map(cell, row))
