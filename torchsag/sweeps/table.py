"""All results of a sweep, or of one run, as one tidy table: a row for each result, a column for each thing known of it.

Columns are the settings that vary by their keys, then how the job ended, what it found (``summary`` in its
``metrics.json``), and how it came about: seed, device, versions, commit. What was found under the name of a setting is
called ``found.NAME``. A comparison gives a row for each method and trial, everything else one for each job.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchsag.csv_cells import cell
from torchsag.errors import InputError
from torchsag.sweeps.job import Job, jobs_below

Row = dict[str, Any]

_LARGEST = 1 << 30
_SURROUNDINGS = ("command", "seed", "device", "threads", "processes")


def results_below(folder: Path) -> list[Row]:
    """The rows of all jobs of a sweep; of a run, or of runs side by side, where no sweep was.

    Raises
    ------
    InputError
        If the folder holds no results.
    """
    jobs = jobs_below(folder) or [Job(str(path.relative_to(folder)), {}) for path in _runs_below(folder)]
    if not jobs:
        raise InputError(f"{folder}: expected the folder of a sweep or of a run, got none with results in it")
    rows = [row for job in jobs for row in _rows(folder, job)]
    columns = dict.fromkeys(key for row in rows for key in row)
    ordered = [key for key in columns if not _is_surrounding(key)] + [key for key in columns if _is_surrounding(key)]
    return [{key: row.get(key) for key in ordered} for row in rows]


def write_results(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``results.csv``, and ``results.parquet`` where pyarrow is installed."""
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows({key: cell("" if value is None else value) for key, value in row.items()} for row in rows)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return
    columns = {key: _one_type([row[key] for row in rows]) for key in (rows[0] if rows else {})}
    parquet.write_table(pyarrow.table(columns), folder / "results.parquet")


def number_or_text(text: str) -> Any:
    """A setting as it was typed: a number where it is one, true or false, else text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _rows(folder: Path, job: Job) -> list[Row]:
    settings = {key: number_or_text(value) for key, value in job.settings.items()}
    known: Row = {"job": job.folder, **settings, "error": job.error, "merit": job.merit}
    metrics = {} if job.error else _metrics(folder / job.folder)
    found = metrics.get("summary") or {}
    around = {key: metrics[key] for key in _SURROUNDINGS if key in metrics and key not in settings}
    around |= _flat({key: metrics.get(key) or {} for key in ("versions", "git")})
    verdict = metrics.get("verdict")
    if isinstance(verdict, Mapping):
        around["trust"] = verdict.get("trust")
    each = found if isinstance(found, list) else [found]
    return [{**known, **_beside(settings, _flat(one)), **around} for one in each or [{}]]


def _beside(settings: Mapping[str, Any], found: Row) -> Row:
    """What was found, under names of its own; the method of a comparison is the one that was set."""
    own = {key: value for key, value in found.items() if key != "method" or key not in settings}
    return {f"found.{key}" if key in settings else key: value for key, value in own.items()}


def _flat(node: Mapping[str, Any], prefix: str = "") -> Row:
    row: Row = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            row |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            row[f"{prefix}{key}"] = value
    return row


def _is_surrounding(key: str) -> bool:
    return key in (*_SURROUNDINGS, "trust") or key.startswith(("versions.", "git."))


def _metrics(folder: Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: expected the metrics of a run, got a file of more than {_LARGEST} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _runs_below(folder: Path) -> list[Path]:
    """Folders of runs, without those of a run's own stages."""
    found: list[Path] = []
    for path in sorted((path.parent for path in folder.rglob("metrics.json")), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return sorted(found)


def _one_type(values: Sequence[Any]) -> list[Any]:
    """As parquet wants a column: numbers, truths or texts."""
    there = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in there):
        return list(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in there):
        whole = all(isinstance(value, int) for value in there)
        return [None if value is None else value if whole else float(value) for value in values]
    return [None if value is None else str(value) for value in values]
