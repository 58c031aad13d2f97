"""What callers give, checked once and made into the library's nouns; each refusal names its argument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from torchsag.axes import ArrayLike
from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.io import read_map, read_particles
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet, as_tilt_range
from torchsag.particles.arrays import as_voxel_size
from torchsag.runs.matching_map import require_match

ParticlesLike = ParticleSet | ParticleBatch | ArrayLike | str | Path
"""A set, a batch, an array ``[particles, z, y, x]``, or the path of a list, a folder, a glob or a stack."""
MapLike = DensityMap | ArrayLike | str | Path
"""A map, an array ``[z, y, x]``, or the path of one."""
TiltRangeLike = Any
"""A `TiltRange`, or first and last tilt angle in degrees."""


def particle_set(
    particles: ParticlesLike, voxel_size: float | int | None = None, tilt_range: TiltRangeLike = None
) -> ParticleSet:
    """The particles that a caller means.

    Parameters
    ----------
    particles
        See `ParticlesLike`.
    voxel_size
        Angstrom per voxel: needed for arrays; of files, in place of what they say.
    tilt_range
        What was measured, where neither list nor weight volumes tell.

    Raises
    ------
    InputError
        If they are no particles, or something is given twice or is missing.
    """
    if isinstance(particles, (ParticleSet, ParticleBatch)):
        for name, value in (("voxel_size", voxel_size), ("tilt_range", tilt_range)):
            if value is not None:
                raise InputError(
                    f"{name}: expected none with a {type(particles).__name__}, which has its own, got {value!r}"
                )
        return particles if isinstance(particles, ParticleSet) else ParticleSet.from_batch(particles)
    if isinstance(particles, (str, os.PathLike)):
        tilts = None if tilt_range is None else as_tilt_range(tilt_range)
        return read_particles(
            Path(particles) if isinstance(particles, os.PathLike) else particles,
            voxel_size_angstrom=None if voxel_size is None else as_voxel_size(voxel_size),
            tilt_min_deg=None if tilts is None else tilts.tilt_min_deg,
            tilt_max_deg=None if tilts is None else tilts.tilt_max_deg,
        )
    if not isinstance(particles, (Tensor, np.ndarray, list, tuple)):
        raise InputError(
            "particles: expected a ParticleSet, a ParticleBatch, an array [particles, z, y, x] or a path, got "
            f"{type(particles).__name__}"
        )
    if voxel_size is None:
        raise InputError("voxel_size: expected the angstrom per voxel of particles given as an array, got none")
    try:
        return ParticleSet.from_arrays(particles, voxel_size, tilt_range=tilt_range)
    except InputError as error:
        raise InputError(str(error).replace("volumes:", "particles:", 1)) from None


def density_map(argument: str, given: MapLike, particles: ParticleSet) -> DensityMap:
    """A map of the particles' box and voxel size; an array is taken to have theirs.

    Raises
    ------
    InputError
        If it is no map, or of another box or voxel size.
    """
    if isinstance(given, (str, os.PathLike)):
        found, name = read_map(Path(given)), str(given)
    elif isinstance(given, DensityMap):
        found, name = given, argument
    elif isinstance(given, (Tensor, np.ndarray, list, tuple)):
        try:
            found, name = DensityMap.from_array(given, particles.voxel_size), argument
        except InputError as error:
            raise InputError(f"{argument}: {str(error).removeprefix('density: ')}") from None
    else:
        raise InputError(f"{argument}: expected a DensityMap, an array [z, y, x] or a path, got {type(given).__name__}")
    require_match(name, found, particles)
    return found


def point_group(symmetry: Symmetry | str) -> Symmetry:
    """The symmetry of a name.

    Raises
    ------
    InputError
        If it is neither a symmetry nor the name of one.
    """
    return symmetry if isinstance(symmetry, Symmetry) else Symmetry(_text("symmetry", symmetry, "D7"))


def whole_number(argument: str, value: Any, least: int) -> int:
    """A whole number from `least` on.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{argument}: expected a whole number of at least {least}, got {value!r}")
    return int(value)  # pyright: ignore[reportUnknownArgumentType]  # numpy's integers are generic


def _text(argument: str, value: Any, such_as: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{argument}: expected {argument.title()} or a name such as {such_as}, got {value!r}")
    return value
