"""The transforms of a run's particles, kept in its folder while it lasts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io import TransformFiles
from torchsag.particles import HeldVolumes, ParticleSet
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.signatures import particle_signatures
from torchsag.version import VERSION


def check_size(gigabytes: float) -> None:
    """Refuse what is no size; InputError."""
    if not (math.isfinite(gigabytes) and gigabytes >= 0):
        raise InputError(f"cache_gigabytes: expected a size of at least 0, got {gigabytes}")


def kept_while_running(particles: ParticleSet, out: Path, gigabytes: float) -> ParticleSet:
    """The particles, whose transforms are kept beside the checkpoint of a run in `out` once they have been read.

    All processes share what is kept; it is removed with the checkpoint, and a run that carries on finds it. Particles
    in memory and boxes that are no cubes are not kept.
    """
    if gigabytes <= 0 or isinstance(particles.reader, HeldVolumes) or len(set(particles.box)) > 1:
        return particles
    how = f"{VERSION}|{particles.weighting!r}|{particles.box}|{particles.voxel_size!r}"
    signatures = particle_signatures(replace(particles, poses=None))
    marks = {row: f"{how}|{mark}" for row, mark in zip(particles.rows, signatures, strict=True)}
    folder = Checkpoint.place(out) / "transforms"
    return replace(particles, kept=TransformFiles(folder, particles.box[0], marks, int(gigabytes * 1e9)))
