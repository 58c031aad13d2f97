"""Fourier shell correlation: curves over resolution in angstrom, where they cross, and what the mask adds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from torchsag.report.figures import blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = {
    "unmasked": ("without a mask", {"color": "#4477aa", "linestyle": "--"}),
    "masked": ("with the mask", {"color": "#aa8833", "linewidth": 1, "zorder": 3}),
    "randomised": ("with the mask, phases made random", {"color": "#888888", "linestyle": ":"}),
    "corrected": ("corrected for the mask", {"color": "#117733", "linewidth": 2.2}),
    "oracle": ("half-maps at the true poses", {"color": "black", "linestyle": ":"}),
    "truth": ("average against the true structure", {"color": "#aa3377", "linestyle": "-."}),
    "oracle_truth": ("the same at the true poses", {"color": "black", "linestyle": "-."}),
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


def fsc_plot(curves: dict[str, np.ndarray], voxel_size: float, crossings: dict[float, float | None]) -> Figure:
    """All `curves`; `crossings` has the resolution in angstrom by threshold, where there is one."""
    figure = blank(figsize=(6, 3.4))
    axis = figure.add_subplot()
    for name, (label, style) in _STYLES.items():
        if name in curves:
            axis.plot(curves["frequency"], curves[name], label=label, **style)
    if {"masked", "corrected"} <= curves.keys():
        axis.fill_between(curves["frequency"], curves["corrected"], curves["masked"], color="#aa8833", alpha=0.2)
    nyquist = 0.5 / voxel_size
    axis.axvline(nyquist, color="#cc3311", linewidth=1)
    axis.text(nyquist, 0.98, f"Nyquist {2 * voxel_size:g} Å ", color="#cc3311", fontsize=8, ha="right", va="top",
              rotation=90)  # fmt: skip
    for threshold, resolution in crossings.items():
        axis.axhline(threshold, color="grey", linewidth=0.7)
        if resolution and resolution <= at_nyquist(2 * voxel_size):
            axis.annotate(f"{threshold:g}: not reached before Nyquist", (nyquist, threshold), (-6, 5),
                          textcoords="offset points", fontsize=9, ha="right", weight="bold")  # fmt: skip
        elif resolution:
            axis.plot(1 / resolution, threshold, "o", color="#117733", markersize=6)
            axis.annotate(f"{threshold:g}: {resolution:.1f} Å", (1 / resolution, threshold), (-6, 5),
                          textcoords="offset points", fontsize=9, ha="right", weight="bold")  # fmt: skip
    angstrom_axis(axis, nyquist)
    axis.set(ylabel="Fourier shell correlation", ylim=(-0.1, 1.03))
    axis.legend(fontsize=7.5, loc="lower left")
    figure.tight_layout(pad=0.3)
    return figure


def at_nyquist(nyquist: float) -> float:
    """What a resolution, angstrom, must be above to be a crossing rather than the end of the curve."""
    return 1.001 * nyquist


def angstrom_axis(axis: Axes, highest: float) -> None:
    """Label an axis of spatial frequency up to `highest`, 1/angstrom, by round resolutions that do not touch."""
    ticks: list[float] = []
    for resolution in _ROUND_ANGSTROM:
        place = 1 / resolution
        if place <= highest * 1.02 and (not ticks or place - 1 / ticks[-1] > 0.06 * highest):
            ticks.append(resolution)
    axis.set_xlim(0, highest * 1.04)
    axis.set_xticks([1 / tick for tick in ticks], [f"{tick:g}" for tick in ticks])
    axis.set_xlabel("resolution (Å)")
