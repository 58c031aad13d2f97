"""A map on disk as a structure to simulate."""

from __future__ import annotations

from dataclasses import dataclass

from torchsag.io import read_map
from torchsag.particles import DensityMap
from torchsag.simulation.resampling import resample_map


@dataclass(frozen=True)
class MapFile:
    """A density map, resampled to the simulation's voxel size and box.

    Attributes
    ----------
    path
        An MRC or EM file, plain or gzipped.
    voxel_size_angstrom
        Angstrom per voxel of the file in place of what its header says; None believes the header.
    """

    path: str
    voxel_size_angstrom: float | None = None

    def density(self, box: int, voxel_size: float) -> DensityMap:
        """The map in a cubic box, centre on centre."""
        source = read_map(self.path, self.voxel_size_angstrom, "structure.voxel_size_angstrom")
        return resample_map(source, box, voxel_size, self.path)
