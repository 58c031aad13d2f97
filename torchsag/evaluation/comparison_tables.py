"""The tables of a comparison of methods, as files.

- ``particles.csv``: a row for each particle, method and trial: correlation, pose error, CPU seconds, evaluations;
- ``summary.csv``: means and medians, and the Cramer-Rao bound;
- ``paired_tests.csv``: every pair of methods on every quantity;
- ``convergence.csv``: correlation and error by evaluations spent;
- ``fsc.csv``: Fourier shell correlation of the averages of every other particle, at found and at true poses.

Evaluations are of the whole objective over a particle, all of its candidates together.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.csv_cells import cell, plain_text
from torchsag.errors import InputError
from torchsag.evaluation.paired_tests import paired_tests

_QUANTITIES = ("ccc", "rotation_error_deg", "shift_error_angstrom")
TABLES = ("particles.csv", "summary.csv", "paired_tests.csv", "convergence.csv", "fsc.csv")
_TEXT = ("trial", "method", "particle")

Row = dict[str, Any]


@dataclass
class Tables:
    """Rows of each file but the tests, which follow from the particles' rows."""

    particles: list[Row] = field(default_factory=list)
    summary: list[Row] = field(default_factory=list)
    convergence: list[Row] = field(default_factory=list)
    fsc: list[Row] = field(default_factory=list)

    @staticmethod
    def read(folder: Path) -> Tables:
        """The tables of a finished comparison.

        Raises
        ------
        InputError
            If files are missing.
        """
        try:
            return Tables(*(_read(folder / f"{each.name}.csv") for each in dataclasses.fields(Tables)))
        except OSError as error:
            raise InputError(
                f"{folder}: expected the tables of a finished comparison ({', '.join(TABLES)}), got: {error}"
            ) from error

    def add(self, other: Tables) -> None:
        """Append another's rows."""
        for each in dataclasses.fields(self):
            getattr(self, each.name).extend(getattr(other, each.name))

    def to_text(self) -> str:
        """All rows as json, for a checkpoint."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_text(text: str) -> Tables:
        """What `to_text` wrote."""
        return Tables(**json.loads(text))

    @property
    def tests(self) -> list[Row]:
        """Every pair of methods on every quantity, Holm's correction over the pairs of one quantity in one trial."""
        return [
            test
            for trial in dict.fromkeys(row["trial"] for row in self.particles)
            for test in _test(trial, [row for row in self.particles if row["trial"] == trial])
        ]

    def write(self, folder: Path) -> None:
        """Write all files."""
        _write(folder / "particles.csv", self.particles)
        _write(folder / "summary.csv", self.summary)
        _write(folder / "paired_tests.csv", self.tests)
        _write(folder / "convergence.csv", self.convergence)
        _write(folder / "fsc.csv", self.fsc)


def summarise(rows: Sequence[Row]) -> Row:
    """Means and medians of one method in one trial."""
    ccc = np.array([row["ccc"] for row in rows])
    summary: Row = {
        **{key: rows[0][key] for key in ("trial", "snr", "method")},
        "particles": len(rows),
        "mean_ccc": float(ccc.mean()),
        "std_ccc": float(ccc.std(ddof=1)) if len(rows) > 1 else math.nan,
        "cpu_seconds": float(rows[0]["cpu_seconds"]),
        "mean_evaluations": float(np.mean([row["evaluations"] for row in rows])),
        "converged": sum(row["converged"] for row in rows),
        "median_rotation_error_deg": None,
        "median_shift_error_angstrom": None,
        "within_10_deg": None,
    }
    if "rotation_error_deg" in rows[0]:
        turned = np.array([row["rotation_error_deg"] for row in rows])
        summary["median_rotation_error_deg"] = float(np.median(turned))
        summary["median_shift_error_angstrom"] = float(np.median([row["shift_error_angstrom"] for row in rows]))
        summary["within_10_deg"] = int((turned < 10).sum())
    return summary


def _test(trial: str, rows: Sequence[Row]) -> list[Row]:
    methods = dict.fromkeys(row["method"] for row in rows)
    tests: list[Row] = []
    for quantity in _QUANTITIES:
        if quantity in rows[0]:
            by_method = {m: {r["particle"]: r[quantity] for r in rows if r["method"] == m} for m in methods}
            order = next(iter(by_method.values()))
            values = {m: np.array([of.get(p, math.nan) for p in order], float) for m, of in by_method.items()}
            tests += [{"trial": trial, "quantity": quantity, **dataclasses.asdict(t)} for t in paired_tests(values)]
    return tests


def _read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: _value(key, text) for key, text in row.items()} for row in csv.DictReader(file)]


def _value(key: str, text: str) -> Any:
    if key in _TEXT:
        return plain_text(text)
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    number = float(text)
    return int(number) if text.isdigit() else number


def _write(path: Path, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)
