"""What an averaging run is given besides its particles: poses to begin with, and a measure of their errors."""

from __future__ import annotations

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.evaluation import RemoveCommonTransform, compare_poses
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import ParticleSet


def listed_poses(particles: ParticleSet) -> Poses:
    """The list's poses, or none."""
    return Poses.identity(len(particles)) if particles.poses is None else particles.poses.to(torch.float32)


def completed(poses: Poses, others: Poses) -> Poses:
    """Poses, and others for particles whose pose is not finite."""
    return poses.where(poses.shifts.isfinite().all(-1), others)


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
