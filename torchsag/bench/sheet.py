"""The score sheet: what an entrant reached in each task, as json and as text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchsag.bench.making import Problem
from torchsag.bench.measure import Measure
from torchsag.bench.scoring import Score
from torchsag.bench.task import EDITION
from torchsag.errors import InputError
from torchsag.io import write_text

_KIND = "torchsag-benchmark"
_LONGEST = 1 << 28
WORDS: dict[str, str] = {
    "listed": "particles listed",
    "within_10_deg": "within 10°",
    "median_rotation_error_deg": "rotation error, median of all (°)",
    "median_shift_error_angstrom": "shift error, median of all (Å)",
    "rms_rotation_error_deg": "rotation error, rms of those within 10° (°)",
    "rms_shift_error_angstrom": "shift error, rms of those within 10° (Å)",
    "rotation_error_by_bound": "rotation error by the Cramer-Rao bound",
    "shift_error_by_bound": "shift error by the Cramer-Rao bound",
    "half_maps_0.143_angstrom": "FSC 0.143 of the half-maps (Å)",
    "half_maps_0.5_angstrom": "FSC 0.5 of the half-maps (Å)",
    "truth_0.5_angstrom": "FSC 0.5 against the truth (Å)",
    "with_uncertainty": "with an uncertainty",
    "inside_50": "truth inside the 50 % ellipsoid",
    "inside_95": "truth inside the 95 % ellipsoid",
    "inside_99": "truth inside the 99 % ellipsoid",
    "z_rms": "errors by their sigmas, rms",
    "z_rms_rotation": "rotation errors by their sigmas, rms",
    "z_rms_shift": "shift errors by their sigmas, rms",
    "adjusted_rand_index": "adjusted Rand index",
    "right_class": "in the right class",
    "classes_found": "classes",
    "cpu_seconds_per_particle": "CPU seconds a particle",
}
"""Every measure in words."""
SHARES = frozenset(
    {"listed", "within_10_deg", "with_uncertainty", "inside_50", "inside_95", "inside_99", "right_class"}
)
"""Measures that are parts of all particles."""


@dataclass
class Sheet:
    """All that is known of one entrant.

    Attributes
    ----------
    name
        The entrant's.
    about
        How the result came about: program, versions, settings.
    tasks
        By name: the hash of its recipe, how many particles, measures, columns.
    """

    name: str
    about: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, problem: Problem, found: Score, cpu_seconds: float | None = None) -> None:
        """Enter a task."""
        task = problem.task
        measures = dict(found.measures)
        if cpu_seconds is not None:
            measures["cpu_seconds_per_particle"] = Measure(cpu_seconds / len(problem.truth))
        self.tasks[task.name] = {
            "recipe": task.recipe_digest,
            "particles": len(problem.truth),
            "measures": {name: one.record() for name, one in measures.items()},
            "columns": found.particles,
        }

    def measure(self, task: str, name: str) -> Measure | None:
        """One number; None where the sheet has none of that name."""
        record = self.tasks[task]["measures"].get(name)
        if record is None:
            return None
        value, low, high = (None if record[key] is None else float(record[key]) for key in ("value", "low", "high"))
        return Measure(value, low, high)

    def write(self, folder: Path) -> None:
        """``sheet.json`` and ``sheet.md``."""
        record = {"kind": _KIND, "edition": EDITION, "name": self.name, "about": self.about, "tasks": self.tasks}
        write_text(folder / "sheet.json", json.dumps(_rounded(record), indent=1, allow_nan=False) + "\n")
        write_text(folder / "sheet.md", self.markdown())

    @staticmethod
    def read(path: str | Path) -> Sheet:
        """What `write` wrote.

        Raises
        ------
        InputError
            If it is no sheet, or of another edition of the benchmark.
        """
        path = Path(path)
        path = path / "sheet.json" if path.is_dir() else path
        try:
            if path.stat().st_size > _LONGEST:
                raise InputError(
                    f"{path}: expected a sheet of this benchmark, got a file of {path.stat().st_size} bytes"
                )
            record = json.loads(path.read_text(encoding="utf-8"))
            found = Sheet(str(record["name"]), dict(record["about"]), dict(record["tasks"]))
            kind, edition = record["kind"], record["edition"]
            _check(found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}: expected a sheet.json that torchsag bench wrote, got none ({type(error).__name__})"
            ) from error
        if (kind, edition) != (_KIND, EDITION):
            raise InputError(f"{path}: expected a sheet of edition {EDITION} of the benchmark, got {kind} {edition}")
        return found

    def lines(self) -> Iterator[tuple[str, str, str, str]]:
        """Task, measure in words, value, interval."""
        for task, record in self.tasks.items():
            for name in record["measures"]:
                one = self.measure(task, name)
                assert one is not None
                yield task, WORDS.get(str(name), str(name)), shown(name, one.value), interval(name, one)

    def markdown(self) -> str:
        """A table for each task."""
        parts = [f"# {self.name}\n", *(f"{key}: {value}  " for key, value in self.about.items()), ""]
        for task, record in self.tasks.items():
            parts += [f"## {task}\n", f"{record['particles']} particles, recipe {record['recipe'][:12]}\n"]
            parts += ["| | | 95 % interval |", "|---|---|---|"]
            parts += [f"| {word} | {value} | {between} |" for at, word, value, between in self.lines() if at == task]
            parts.append("")
        return "\n".join(parts)


def shown(name: str, value: float | None) -> str:
    """A measure as text."""
    if value is None or not math.isfinite(value):
        return "none"
    if name in SHARES:
        return f"{100 * value:.0f} %"
    return f"{value:.3g}"


def interval(name: str, one: Measure) -> str:
    """Its interval as text."""
    if one.low is None or one.high is None:
        return ""
    return f"{shown(name, one.low)} to {shown(name, one.high)}"


def _check(sheet: Sheet) -> None:
    for name, record in sheet.tasks.items():
        for measured in record["measures"]:
            sheet.measure(name, measured)
        lengths = {len(column) for column in record["columns"].values()}
        if lengths != {record["particles"]} or not isinstance(record["recipe"], str):
            raise ValueError("columns")


def _rounded(node: Any) -> Any:
    """Six digits, and null for what is no number."""
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_rounded(value) for value in node]
    if isinstance(node, float):
        return float(f"{node:.6g}") if math.isfinite(node) else None
    return node
