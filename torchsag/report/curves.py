"""Fourier shell correlation: curves over resolution in angstrom, where they cross, and what the mask adds."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from torchsag.report.chart import Axis, Band, Chart, Line, Note

_STYLES = {
    "unmasked": ("without a mask", {"colour": 0, "dash": "dashed"}),
    "masked": ("with the mask", {"colour": 1, "width": 1.2}),
    "randomised": ("with the mask, phases made random", {"colour": -3, "dash": "dotted"}),
    "corrected": ("corrected for the mask", {"colour": 2, "width": 2.4}),
    "oracle": ("half-maps at the true poses", {"colour": -1, "dash": "dotted"}),
    "truth": ("average against the true structure", {"colour": 3, "dash": "dashdot"}),
    "oracle_truth": ("the same at the true poses", {"colour": -1, "dash": "dashdot"}),
}
_ROUND_ANGSTROM = (200, 100, 60, 40, 30, 25, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2, 1.5, 1)


def read_curves(path: Path) -> dict[str, np.ndarray]:
    """``fsc.csv``: spatial frequency in 1/angstrom as ``frequency``, and each curve by its column's name.

    Raises
    ------
    OSError, ValueError
        If the file is missing, or no such table.
    """
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"resolution_angstrom", "corrected"} <= rows[0].keys():
        raise ValueError(f"{path.name}: expected columns resolution_angstrom and corrected")
    table = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "shell"}
    return {"frequency": 1 / table.pop("resolution_angstrom"), **table}


def fsc_chart(curves: Mapping[str, np.ndarray], voxel_size: float, crossings: Mapping[float, float | None]) -> Chart:
    """All `curves`; `crossings` has the resolution in angstrom by threshold, where there is one."""
    frequency, nyquist = curves["frequency"].tolist(), 0.5 / voxel_size
    lines = [
        Line(frequency, curves[name].tolist(), label, **style)
        for name, (label, style) in _STYLES.items()
        if name in curves
    ]
    bands = []
    if {"masked", "corrected"} <= curves.keys():
        bands.append(Band(frequency, curves["corrected"].tolist(), curves["masked"].tolist()))
    notes = [Note(nyquist, 0.97, f"Nyquist {2 * voxel_size:g} Å", before=True, colour=-2)]
    for threshold, resolution in crossings.items():
        if resolution and resolution <= at_nyquist(2 * voxel_size):
            notes.append(Note(nyquist, threshold, f"{threshold:g}: not reached before Nyquist", before=True))
        elif resolution:
            lines.append(Line([1 / resolution], [threshold], colour=2, dash="", marked=True))
            # To the right of where a curve falls there is room, but for Nyquist's line.
            near = 1 / resolution > 0.78 * nyquist
            notes.append(Note(1 / resolution, threshold, f"{threshold:g}: {resolution:.1f} Å", before=near))
    return Chart(
        angstrom_axis(nyquist),
        Axis("Fourier shell correlation", limits=(-0.1, 1.03)),
        lines=lines, bands=bands, notes=notes, across=list(crossings), upright=[nyquist], height=0.5,
    )  # fmt: skip


def at_nyquist(nyquist: float) -> float:
    """What a resolution, angstrom, must be above to be a crossing rather than the end of the curve."""
    return 1.001 * nyquist


def angstrom_axis(highest: float) -> Axis:
    """An axis of spatial frequency up to `highest`, 1/angstrom, labelled by round resolutions that do not touch."""
    ticks: list[float] = []
    for resolution in _ROUND_ANGSTROM:
        place = 1 / resolution
        if place <= highest * 1.02 and (not ticks or place - 1 / ticks[-1] > 0.075 * highest):
            ticks.append(resolution)
    return Axis("resolution (Å)", ticks=[(1 / tick, f"{tick:g}") for tick in ticks], limits=(0.0, highest * 1.04))
