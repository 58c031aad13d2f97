"""Files of an averaging run: tables, curves, maps of each iteration."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap
from torchsag.workflows.slices import orthogonal_slices

_CURVES = ("unmasked", "masked", "randomised", "corrected")


def iteration_folder(out: Path, iteration: int) -> Path:
    """Where the maps of an iteration are kept."""
    return out / "iterations" / f"{iteration:03d}"


def write_fsc(path: Path, fsc: HalfMapFSC, others: Mapping[str, Float[Tensor, " shells"]] | None = None) -> None:
    """One row per shell; `others` are further curves, such as that of half-maps at true poses."""
    curves = {name: getattr(fsc, name).tolist() for name in _CURVES}
    curves |= {name: curve.tolist() for name, curve in (others or {}).items()}
    resolutions = fsc.shell_resolutions().tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["shell", "resolution_angstrom", *curves])
        for shell, resolution in enumerate(resolutions):
            values = [f"{curve[shell]:.5f}" for curve in curves.values()]
            writer.writerow([shell, f"{resolution:.4f}" if math.isfinite(resolution) else "inf", *values])


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The table of iterations."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})


def write_half_maps(folder: Path, maps: Float[Tensor, "halves z y x"], voxel_size: float) -> None:
    """``half1.mrc`` and ``half2.mrc``, unfiltered."""
    folder.mkdir(parents=True, exist_ok=True)
    for half, density in enumerate(maps, start=1):
        write_map(folder / f"half{half}.mrc", DensityMap(density, voxel_size))


def plot_fsc(path: Path, fsc: HalfMapFSC, others: Mapping[str, Float[Tensor, " shells"]] | None = None) -> None:
    """The curves over spatial frequency, with both thresholds."""
    figure = Figure(figsize=(6, 4))
    axis = figure.add_subplot()
    frequency = torch.arange(len(fsc.unmasked)) / (max(fsc.box) * fsc.voxel_size)
    for name in _CURVES:
        axis.plot(frequency, getattr(fsc, name), label=name)
    for name, curve in (others or {}).items():
        axis.plot(frequency, curve, ":", label=name.replace("_", ", "))
    for threshold in (0.143, 0.5):
        axis.axhline(threshold, color="grey", linewidth=0.7)
    axis.set(xlabel="spatial frequency (1/angstrom)", ylabel="Fourier shell correlation", ylim=(-0.1, 1.02))
    axis.set_title(f"{fsc.resolution():.1f} angstrom at 0.143 (corrected)")
    axis.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def save_average_slices(path: Path, out: Path, iterations: int, final: DensityMap, local: DensityMap) -> None:
    """For the report: central slices of the final map, of its local resolution, and of the sum of the half-maps after
    each iteration."""
    stacks = {"final": orthogonal_slices(final.density), "local resolution": orthogonal_slices(local.density)}
    for iteration in range(1, iterations + 1):
        folder = iteration_folder(out, iteration)
        halves = [read_map(folder / f"half{half}.mrc").density for half in (1, 2)]
        stacks[f"iteration {iteration}"] = orthogonal_slices(halves[0] + halves[1])
    np.savez_compressed(path, **stacks)  # type: ignore[arg-type]
