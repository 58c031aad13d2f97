"""Files of an averaging run: tables, curves, maps of each iteration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap
from torchsag.runs.central_slices import orthogonal_slices
from torchsag.workflows.average.final_maps import FinalMaps


def iteration_folder(out: Path, iteration: int) -> Path:
    """Where the maps of an iteration are kept."""
    return out / "iterations" / f"{iteration:03d}"


def write_half_maps(folder: Path, maps: Float[Tensor, "halves z y x"], voxel_size: float) -> None:
    """``half1.mrc`` and ``half2.mrc``, unfiltered."""
    folder.mkdir(parents=True, exist_ok=True)
    for half, density in enumerate(maps, start=1):
        write_map(folder / f"half{half}.mrc", DensityMap(density, voxel_size))


def save_average_slices(path: Path, out: Path, iterations: int, found: FinalMaps) -> None:
    """For the report: central slices of the final map, of its local resolution, of the map filtered by that, and of the
    sum of the half-maps after each iteration."""
    shown = {"final": found.final, "local resolution": found.local, "locally filtered": found.locally_filtered}
    stacks = {name: orthogonal_slices(one.density) for name, one in shown.items()}
    for iteration in range(1, iterations + 1):
        folder = iteration_folder(out, iteration)
        halves = [read_map(folder / f"half{half}.mrc").density for half in (1, 2)]
        stacks[f"iteration {iteration}"] = orthogonal_slices(halves[0] + halves[1])
    np.savez_compressed(path, **stacks)  # type: ignore[arg-type]
