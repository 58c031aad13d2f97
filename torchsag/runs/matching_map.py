"""Maps that go with a set of particles."""

from __future__ import annotations

from torchsag.errors import InputError
from torchsag.io import read_map
from torchsag.particles import DensityMap, ParticleSet


def matching_map(path: str, particles: ParticleSet, voxel_size_angstrom: float | None) -> DensityMap:
    """A map of the particles' box and voxel size.

    Parameters
    ----------
    path
        The map.
    particles
        What it has to match.
    voxel_size_angstrom
        In place of what the map's header says; None believes it.

    Raises
    ------
    InputError
        If it is of another box or voxel size.
    """
    found = read_map(path, voxel_size_angstrom)
    require_match(path, found, particles)
    return found


def require_match(name: str, found: DensityMap, particles: ParticleSet) -> None:
    """Refuse a map of another box or voxel size than the particles'; `name` is what the message calls it.

    Raises
    ------
    InputError
        If it is of another box or voxel size.
    """
    if found.box != particles.box:
        raise InputError(
            f"{name}: expected the particles' box of {particles.box} voxels (z, y, x), got {found.box}; "
            "crop or pad the map"
        )
    if abs(found.voxel_size / particles.voxel_size - 1) > 0.01:
        raise InputError(
            f"{name}: expected the particles' voxel size of {particles.voxel_size:g} angstrom, got "
            f"{found.voxel_size:g}; resample the map, or give voxel_size_angstrom if a header is wrong"
        )
