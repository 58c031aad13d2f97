"""``torchsag.simulate``: particles whose poses are known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from torchsag.api.arguments import MapLike, TiltRangeLike, whole_number
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import read_map, write_map, write_particles
from torchsag.particles import DensityMap, ParticleBatch, as_tilt_range
from torchsag.particles.arrays import as_voxel_size
from torchsag.simulation import FastPipeline, Structure, UniformPoses


@dataclass(frozen=True)
class Simulation:
    """What `torchsag.simulate` made.

    Attributes
    ----------
    particles
        In the library's form; they carry no prior poses.
    poses
        The true ones.
    reference
        What was imaged.
    """

    particles: ParticleBatch
    poses: Poses
    reference: DensityMap


def simulate(
    structure: Structure | MapLike = "phantom",
    count: int = 20,
    *,
    snr: float = 0.1,
    tilt_range: TiltRangeLike = (-60.0, 60.0),
    max_shift: float | int = 3.0,
    box: int = 64,
    voxel_size: float | int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
) -> Simulation:
    """Make particles of a structure: placed at random, with white noise, seen through a missing wedge.

    The other pipelines, and mixtures, are those of ``torchsag simulate`` and `torchsag.simulation`.

    Parameters
    ----------
    structure
        A name as on the command line (``phantom``, ``ribosome``, ...), a structure, a `DensityMap`, an array
        ``[z, y, x]``, or the path of a map or an atomic model.
    count
        How many particles.
    snr
        Signal variance over the whole box by noise variance per voxel, before the wedge; ``math.inf`` for no noise.
    tilt_range
        A `TiltRange`, or two angles in degrees.
    max_shift
        Radius of the ball the shifts are drawn from, voxels.
    box
        Voxels per axis; a map keeps its own.
    voxel_size
        Angstrom per voxel, 6 unless given; needed for an array; a map keeps its own.
    seed
        Everything random follows from it: particle i is the same whatever the count.
    out
        A folder for ``particles.star`` with the true poses, its volumes, and ``reference.mrc``; None writes nothing.

    Raises
    ------
    InputError
        Naming the argument that cannot be used.
    """
    tilts = as_tilt_range(tilt_range)
    numbers = range(whole_number("count", count, 1))
    whole_number("seed", seed, 0)
    reference = _reference(structure, box, voxel_size)
    if len(set(reference.box)) > 1:
        raise InputError(f"structure: expected a cubic box, got {reference.box} voxels (z, y, x); pad it to a cube")
    pipeline = FastPipeline(_number("snr", snr), float(tilts.tilt_max_deg), float(tilts.tilt_min_deg))
    poses = UniformPoses(_number("max_shift", max_shift)).draw(seed, numbers)
    particles = pipeline.prepare(reference)(poses, numbers, seed)
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_map(folder / "reference.mrc", reference)
        write_particles(folder / "particles.star", particles, poses)
    return Simulation(particles, poses.to(reference.density), reference)


def _reference(structure: Structure | MapLike, box: int, voxel_size: float | int | None) -> DensityMap:
    if isinstance(structure, DensityMap):
        return structure
    if isinstance(structure, (Tensor, np.ndarray, list, tuple)):
        if voxel_size is None:
            raise InputError("voxel_size: expected the angstrom per voxel of a structure given as an array, got none")
        return DensityMap.from_array(structure, voxel_size)
    size = 6.0 if voxel_size is None else as_voxel_size(voxel_size)
    if isinstance(structure, (str, os.PathLike)):
        return _named(os.fspath(structure), whole_number("box", box, 8), size, voxel_size)
    if isinstance(structure, type) or not isinstance(structure, Structure):
        raise InputError(
            "structure: expected a name, a structure, a DensityMap, an array [z, y, x] or a path, got "
            f"{getattr(structure, '__name__', type(structure).__name__)}"
        )
    return structure.density(whole_number("box", box, 8), size)


def _named(name: str, box: int, size: float, voxel_size: float | int | None) -> DensityMap:
    """A built-in structure, an atomic model, or a map, told apart as the command line does."""
    from torchsag.app.from_python import component
    from torchsag.app.structure_files import component_for
    from torchsag.simulation.structures import AtomicModel

    kind = component_for(name)
    if kind is None:
        made: Structure = component("structure", name)
        return made.density(box, size)
    if not os.path.exists(name):
        raise InputError(f"structure: expected a file, got {name}: no such file; check the path")
    if kind == "atoms":
        return AtomicModel(name).density(box, size)
    return read_map(name, voxel_size)


def _number(argument: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise InputError(f"{argument}: expected a number, got {value!r}")
    return float(value)  # pyright: ignore[reportUnknownArgumentType]  # numpy's numbers are generic
