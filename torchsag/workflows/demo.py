"""Simulate, align with several methods, compare with the truth: the work behind ``torchsag demo``."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchsag.alignment.aligner import Aligner
from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.io import read_particles, write_text
from torchsag.parallel import Serial, Workers
from torchsag.particles import Transfer, VolumeSource
from torchsag.runs.outcome import Outcome, Report, files_made
from torchsag.runs.output_folder import publish
from torchsag.runs.provenance import Provenance
from torchsag.workflows.align import Align
from torchsag.workflows.simulate.command import Simulate

_log = logging.getLogger(__name__)

_COLUMNS = {
    "method": ("method", "{}"),
    "median_rotation_error_deg": ("rotation error (deg)", "{:.2f}"),
    "median_shift_error_angstrom": ("shift error (angstrom)", "{:.2f}"),
    "within_10_deg": ("within 10 deg", "{}"),
    "median_cpu_seconds": ("CPU s / particle", "{:.2f}"),
}


@dataclass(frozen=True)
class Demo:
    """A small data set with known poses, through several methods.

    Attributes
    ----------
    methods
        Aligners by name; the first one's poses, average and report are the demo's own.
    simulation
        Makes the particles, in a folder below `out`.
    out
        Folder for all results.
    symmetry
        Point group of what is simulated.
    seed
        Everything random follows from this number.
    device
        cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
    parallel
        The processes that share the work.
    report
        Makes ``report.html``.
    """

    methods: dict[str, Aligner]
    simulation: Simulate
    out: str = "torchsag-demo"
    symmetry: str = "C1"
    seed: int = 0
    device: str = "auto"
    parallel: Workers = field(default_factory=Serial)
    report: Report | None = None

    def __post_init__(self):
        if not self.methods:
            raise InputError("methods: expected at least one aligner, got none")
        Symmetry(self.symmetry)

    def __call__(self, provenance: Provenance) -> Outcome:
        """Write particles, results and the comparison below `out`."""
        out = Path(self.out)
        self.simulation(provenance.part("simulation"))
        if self.parallel.is_root:
            self._hide_poses()
        self.parallel.broadcast(None)  # the others wait until the list is there
        folders = {name: out / "methods" / name if row else out for row, name in enumerate(self.methods)}
        for name, method in self.methods.items():
            _log.info("aligning with %s", name)
            self._align(method, folders[name])(provenance.part(name))
        return self._compare(out, folders) if self.parallel.is_root else Outcome()

    @property
    def _data(self) -> Path:
        return Path(self.simulation.out)

    def _hide_poses(self) -> None:
        """List the particles without their poses, which no method may see."""
        data, true = self._data.resolve(), read_particles(self._data / "particles.star")
        files = [weight.path for weight in true.weights if isinstance(weight, VolumeSource)]
        lines = [f"{name},{file.relative_to(data)}" for name, file in zip(true.names, files, strict=True)]
        write_text(data / "particles.csv", "\n".join(["volume,weight", *lines]) + "\n")

    def _align(self, method: Aligner, out: Path) -> Align:
        return Align(
            particles=str(self._data / "particles.csv"),
            reference=str(self._data / "reference.mrc"),
            out=str(out),
            method=method,
            symmetry=self.symmetry,
            weighting=Transfer(),
            truth=str(self._data / "particles.star"),
            seed=self.seed,
            device=self.device,
            parallel=self.parallel,
            report=self.report,
            resume=False,
        )

    def _compare(self, out: Path, folders: dict[str, Path]) -> Outcome:
        table: list[dict[str, Any]] = []
        for name, folder in folders.items():
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            table.append({"method": name, **metrics["summary"]})
        with publish(out) as staging, (staging / "comparison.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
        rows = tuple(
            tuple("-" if row[key] is None else form.format(row[key]) for key, (_, form) in _COLUMNS.items())
            for row in table
        )
        data = f"{self.simulation.n} simulated particles, SNR {self.simulation.pipeline.snr:g}"
        return Outcome(
            f"{data}; medians, {self.symmetry} divided out",
            tuple(label for label, _ in _COLUMNS.values()),
            rows,
            files_made(out, ("poses.star", "average.mrc", "comparison.csv")),
        )
