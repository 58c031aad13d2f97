"""What an averaging run is given besides its particles: maps that match them, poses to begin with, true poses."""

from __future__ import annotations

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.evaluation import RemoveCommonTransform, compare_poses
from torchsag.geometry import Poses, Symmetry
from torchsag.io import read_map
from torchsag.particles import DensityMap, ParticleSet


def matching_map(path: str, particles: ParticleSet, voxel_size_angstrom: float | None) -> DensityMap:
    """A map of the particles' box and voxel size.

    Raises
    ------
    InputError
        If it is of another.
    """
    found = read_map(path, voxel_size_angstrom)
    if found.box != particles.box or abs(found.voxel_size / particles.voxel_size - 1) > 0.01:
        raise InputError(
            f"{path}: expected the particles' {particles.box} voxels at {particles.voxel_size:g} angstrom, got "
            f"{found.box} at {found.voxel_size:g}; resample or crop the map"
        )
    return found


def true_poses(path: str, listed: ParticleSet, particles: ParticleSet) -> Poses:
    """The poses that a list gives to these particles, by their names.

    Raises
    ------
    InputError
        If some particle has none.
    """
    row = {name: index for index, name in enumerate(listed.names)}
    missing = [name for name in particles.names if name not in row]
    if listed.poses is None or missing:
        raise InputError(
            f"{path}: expected a true pose for every particle, found none for {(missing or listed.names)[0]}"
        )
    return listed.poses[torch.tensor([row[name] for name in particles.names])].to(torch.float32)


def listed_poses(particles: ParticleSet) -> Poses:
    """The list's poses, or none."""
    return Poses.identity(len(particles)) if particles.poses is None else particles.poses.to(torch.float32)


def completed(poses: Poses, others: Poses) -> Poses:
    """Poses, and others for particles whose pose is not finite."""
    there = poses.shifts.isfinite().all(-1)
    rotations = torch.where(there[:, None, None], poses.rotations, others.rotations)
    return Poses(rotations, torch.where(there[:, None], poses.shifts, others.shifts))


def median_errors(
    poses: Poses, truth: Poses, halves: Integer[Tensor, " particles"], symmetry: Symmetry, voxel_size: float
) -> dict[str, float]:
    """Median errors over both halves, each in its own frame, by name."""
    angles, lengths = [], []
    for half in (1, 2):
        members = (halves == half) & poses.shifts.isfinite().all(-1)
        framed = RemoveCommonTransform()(poses[members], truth[members], symmetry)
        errors = compare_poses(framed, truth[members], symmetry)
        angles.append(errors.rotation_deg)
        lengths.append(errors.shift_voxels * voxel_size)
    return {
        "median_rotation_error_deg": float(torch.cat(angles).median()),
        "median_shift_error_angstrom": float(torch.cat(lengths).median()),
    }
