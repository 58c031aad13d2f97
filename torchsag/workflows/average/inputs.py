"""What an averaging run is given besides its particles: poses to begin with, and a measure of their errors."""

from __future__ import annotations

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.evaluation import RemoveCommonTransform, compare_poses
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import ParticleSet

# With fewer particles the best common transform takes much of their own change along.
_ENOUGH_FOR_A_FRAME = 8


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


def pose_change(
    before: Poses, after: Poses, halves: Integer[Tensor, " particles"], symmetry: Symmetry, common_frame: bool
) -> tuple[float, float]:
    """Median change of poses, degrees and voxels, modulo symmetry.

    Where each half has a frame of its own, that frame may have moved as a whole: what most particles of a half have in
    common is no change. Halves too small to tell the two apart are compared as they are.
    """
    angles, lengths = [], []
    for half in (1, 2):
        members = (halves == half) & before.shifts.isfinite().all(-1) & after.shifts.isfinite().all(-1)
        if not members.any():
            continue
        framed = after[members]
        if not common_frame and int(members.sum()) >= _ENOUGH_FOR_A_FRAME:
            framed = RemoveCommonTransform()(framed, before[members], symmetry)
        errors = compare_poses(framed, before[members], symmetry)
        angles.append(errors.rotation_deg)
        lengths.append(errors.shift_voxels)
    if not angles:
        return float("nan"), float("nan")
    return float(torch.cat(angles).median()), float(torch.cat(lengths).median())
