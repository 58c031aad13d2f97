"""Frames of half-maps: bring one onto the other without leaving the axes of an imposed symmetry."""

from __future__ import annotations

import torch

from torchsag.averaging.reconstruct import MapSums
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.normaliser import nearest_in_normaliser
from torchsag.particles import DensityMap, ParticleBatch


def as_particle(volume: DensityMap) -> ParticleBatch:
    """A map as a particle of which everything was measured."""
    z, y, x = volume.box
    return ParticleBatch.from_volumes(
        volumes=volume.density[None].float(),
        weights=volume.density.new_ones(1, z, y, x // 2 + 1, dtype=torch.float32),
        weight_index=torch.zeros(1, dtype=torch.long, device=volume.density.device),
        names=("half-map",),
        voxel_size=volume.voxel_size,
    )


def bring_back(volume: DensityMap, pose: Poses) -> DensityMap:
    """The map with a placement undone, ``pose^-1 * volume``."""
    sums = MapSums.empty(volume.box, volume.voxel_size, device=volume.density.device)
    sums.add(as_particle(volume), pose)
    return sums.finish()[0]


def symmetrised(volume: DensityMap, symmetry: Symmetry) -> DensityMap:
    """The mean of a map and its symmetry mates."""
    if symmetry.order == 1:
        return volume
    sums = MapSums.empty(volume.box, volume.voxel_size, device=volume.density.device)
    sums.add(as_particle(volume), Poses.identity(1, device=volume.density.device))
    return sums.finish(symmetry)[0]


def onto_axes(pose: Poses, symmetry: Symmetry) -> Poses:
    """The nearest placement (batch of one) that keeps the axes of a symmetry where they are.

    Two maps with the same symmetry on the same axes can only differ by such a placement: any for C1, one of
    `torchsag.geometry.normaliser` otherwise, with a shift along z for Cn.
    """
    if symmetry.order == 1:
        return pose
    rotation = pose.rotations[0].double()
    nearest = nearest_in_normaliser(symmetry, rotation)
    shifts = torch.zeros_like(pose.shifts)
    if symmetry.is_cyclic:
        shifts[:, 2] = pose.shifts[:, 2]
    return Poses(nearest.to(pose.rotations)[None], shifts)
