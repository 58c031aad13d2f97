"""A handful of small particles on disk, which the campaigns spoil."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch

from torchsag.io import write_map
from torchsag.io.mrc import write_mrc
from torchsag.particles import DensityMap
from torchsag.simulation import simulate_particles

BOX, VOXEL = 16, 10.0


def structure() -> DensityMap:
    """A few blobs without symmetry."""
    generator = torch.Generator().manual_seed(3)
    axis = torch.arange(BOX) - BOX // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    density = torch.zeros(BOX, BOX, BOX)
    for centre in 3 * torch.randn(5, 3, generator=generator):
        density += torch.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2) / 4)
    return DensityMap(density, VOXEL)


def write_set(folder: Path, count: int = 8, scale: float = 1.0, seed: int = 0) -> Path:
    """Particles as mrc files, a reference and a csv; returns the csv."""
    folder.mkdir(parents=True, exist_ok=True)
    found = structure()
    batch, truth = simulate_particles(found, count, 1.0, -60.0, 60.0, 1.0, seed)
    write_map(folder / "reference.mrc", found)
    rows = []
    for number, volume in enumerate(batch.volumes.numpy()):
        write_mrc(folder / f"p{number}.mrc", (scale * volume.astype(np.float64)).astype(np.float32), VOXEL)
        rows.append({"volume": f"p{number}.mrc", "tilt_min_deg": -60, "tilt_max_deg": 60})
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    torch.save({"rotations": truth.rotations, "shifts": truth.shifts}, folder / "truth.pt")
    return folder / "list.csv"


def align_words(folder: Path, out: Path, *more: str) -> list[str]:
    """A quick alignment of the set."""
    return ["align", f"particles={folder / 'list.csv'}", f"reference={folder / 'reference.mrc'}", f"out={out}", *more]
