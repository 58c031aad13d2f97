"""Particles written whole: a list, and where they are in memory the volumes that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io.mrc import write_mrc
from torchsag.io.particle_list import ListOrigin
from torchsag.io.paths import as_path
from torchsag.io.poses import write_poses
from torchsag.io.relion import WEIGHT
from torchsag.io.volumes import read_volume
from torchsag.particles import HeldVolumes, ParticleBatch, ParticleSet, VolumeSource


def write_particles(
    path: Path | str,
    particles: ParticleSet | ParticleBatch,
    poses: Poses | None = None,
    *,
    scores: Float[Tensor, " particles"] | None = None,
    covariances: Float[Tensor, "particles 6 6"] | None = None,
    classes: Integer[Tensor, " particles"] | None = None,
    halves: Integer[Tensor, " particles"] | None = None,
    columns: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Write a RELION particle list, and beside it the volumes of particles that are in memory.

    These go to a stack of the list's name ending in ``.mrcs``, one weight for each distinct one to a stack ending in
    ``_weights.mrcs``, and in RELION's layout, where it has one for them, to the folder ``weights``. Of particles on
    disk only the list is written; it names them where they are.

    Parameters
    ----------
    path
        The ``.star`` file; it appears only when complete.
    particles
        The particles.
    poses
        One for each; None keeps those that they have.
    scores, covariances, classes, halves, columns
        As in `torchsag.io.write_poses`.

    Raises
    ------
    InputError
        If an argument is no such object, a column has the wrong length or a file cannot be written.
    """
    path = as_path("path", path)
    if path.suffix.lower() != ".star":
        raise InputError(f"{path}: expected a name ending in .star, got {path.suffix or 'none'!r}")
    if not isinstance(particles, (ParticleSet, ParticleBatch)):
        raise InputError(f"particles: expected a ParticleSet or a ParticleBatch, got {type(particles).__name__}")
    if poses is not None and (not isinstance(poses, Poses) or len(poses) != len(particles)):
        got = f"{len(poses)}" if isinstance(poses, Poses) else type(poses).__name__
        raise InputError(f"poses: expected Poses, one for each of {len(particles)} particles, got {got}")
    listed = ParticleSet.from_batch(particles) if isinstance(particles, ParticleBatch) else particles
    more = dict(columns or {})
    if isinstance(listed.reader, HeldVolumes):
        listed, weights = _on_disk(path, listed, listed.reader)
        more |= {WEIGHT: weights} if weights else {}
    write_poses(
        path, listed, poses, scores=scores, covariances=covariances, classes=classes, halves=halves, columns=more
    )


def _on_disk(path: Path, particles: ParticleSet, held: HeldVolumes) -> tuple[ParticleSet, list[str]]:
    """The same particles in files beside `path`, and how the list names their weights."""
    folder = path.parent
    volumes = torch.stack([held(source) for source in particles.volumes])
    write_mrc(path.with_suffix(".mrcs"), volumes.numpy(), particles.voxel_size)
    names = tuple(f"{k:06d}@{path.stem}.mrcs" for k in range(1, len(particles) + 1))
    sources = tuple(VolumeSource(path.with_suffix(".mrcs"), k) for k in range(len(particles)))
    used = [source for source in dict.fromkeys(particles.weights) if isinstance(source, VolumeSource)]
    weights: list[str] = []
    if used:
        stack = folder / f"{path.stem}_weights.mrcs"
        write_mrc(stack, np.stack([held(source).numpy() for source in used]), particles.voxel_size)
        number = {source: k for k, source in enumerate(used)}
        placed = [number[source] for source in particles.weights if isinstance(source, VolumeSource)]
        weights = [f"{k + 1:06d}@{stack.name}" for k in placed]
        particles = replace(particles, weights=tuple(VolumeSource(stack, k) for k in placed))
    origin = ListOrigin(folder=folder, blocks={})
    rows = tuple(range(len(particles)))
    return replace(particles, names=names, volumes=sources, reader=read_volume, origin=origin, rows=rows), weights
