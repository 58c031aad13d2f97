"""Lists that say the truth about particles: their poses, or their classes, to judge a run by."""

from __future__ import annotations

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import read_particles
from torchsag.particles import ParticleSet


def true_poses(path: str, particles: ParticleSet) -> Poses:
    """The poses that a list gives to these particles, by their names; float32.

    Raises
    ------
    InputError
        If some particle has none.
    """
    listed = _read(path, particles)
    rows = _rows(path, listed, particles, "pose", there=listed.poses is not None)
    assert listed.poses is not None
    return listed.poses[rows].to(torch.float32)


def true_classes(path: str, particles: ParticleSet) -> Integer[Tensor, " particles"]:
    """The classes that a list gives to these particles, by their names.

    Raises
    ------
    InputError
        If some particle has none.
    """
    listed = _read(path, particles)
    rows = _rows(path, listed, particles, "class", there=listed.classes is not None)
    assert listed.classes is not None
    return listed.classes[rows]


def _read(path: str, particles: ParticleSet) -> ParticleSet:
    # What of these volumes was measured is the particle list's business.
    return read_particles(path, voxel_size_angstrom=particles.voxel_size, tilt_min_deg=-90.0, tilt_max_deg=90.0)


def _rows(
    path: str, listed: ParticleSet, particles: ParticleSet, what: str, there: bool
) -> Integer[Tensor, " particles"]:
    row = {name: index for index, name in enumerate(listed.names)}
    missing = [name for name in particles.names if name not in row]
    if missing or not there:
        first = (missing or listed.names)[0]
        raise InputError(f"{path}: expected a true {what} for every particle, found none for {first}")
    return torch.tensor([row[name] for name in particles.names])
