"""What an aligner is given, checked before it computes: the reference once, each batch of particles beside it."""

from __future__ import annotations

from typing import Any

import torch

from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.particles.batch import require_finite

_SAME_VOXEL = 1e-3  # relative; headers round


def checked_reference(reference: Any, symmetry: Any, device: Any) -> DensityMap:
    """The reference without its history, in single precision, on the device.

    Raises
    ------
    InputError
        If it is no map in a cubic box, if the symmetry is none, or if torch knows no such device.
    """
    if not isinstance(reference, DensityMap):
        raise InputError(f"reference: expected a DensityMap, got {type(reference).__name__}")
    if len(set(reference.box)) > 1:
        raise InputError(f"reference: expected a cubic box, got {reference.box} voxels (z, y, x); pad it to a cube")
    if not isinstance(symmetry, Symmetry):
        raise InputError(f"symmetry: expected a Symmetry such as Symmetry('C1'), got {symmetry!r}")
    if reference.density.requires_grad:
        raise InputError(
            "reference: expected a map without gradients, as a search has none; detach it, and see "
            "torchsag.alignment.implicit_poses for poses as functions of the reference"
        )
    try:
        place = torch.device(device)
    except RuntimeError:
        raise InputError(f"device: expected cpu, cuda or cuda:1, got {device!r}") from None
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"device: expected cpu, cuda or cuda:1, got {device!r}")
    return DensityMap(reference.density.to(place, torch.float32), reference.voxel_size)


def checked_batch(particles: Any, reference: DensityMap) -> ParticleBatch:
    """The particles in single precision.

    Raises
    ------
    InputError
        If they are none, their grid is not the reference's, or they lie on another device.
    """
    if not isinstance(particles, ParticleBatch):
        raise InputError(
            f"particles: expected a ParticleBatch, got {type(particles).__name__}; ParticleBatch.from_arrays makes one"
        )
    if not len(particles):
        raise InputError("particles: expected at least one to align, got none")
    same_voxel = abs(particles.voxel_size / reference.voxel_size - 1) <= _SAME_VOXEL
    if particles.box != reference.box or not same_voxel:
        raise InputError(
            f"particle {particles.names[0]}: expected the reference's box of {reference.box} voxels of "
            f"{reference.voxel_size:g} angstrom, got {particles.box} of {particles.voxel_size:g}"
        )
    here, there = particles.spectra.device, reference.density.device
    if here != there:
        raise InputError(
            f"particles: expected them on the device of the prepared reference, {there}, got {here}; move them with "
            f".to({str(there)!r}), or prepare there: prepare(reference, symmetry, device={str(here)!r})"
        )
    if here.type != "cpu":  # a batch on a CPU was looked at when it was made
        require_finite(particles)
    return particles if particles.spectra.dtype == torch.complex64 else particles.to(torch.float32)
