"""Frames of half-maps: bring one onto the other without leaving the axes of an imposed symmetry."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchsag.averaging.reconstruct import MapSums
from torchsag.geometry import Poses, Symmetry, rotvec_to_matrix
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


def onto_axes(pose: Poses, symmetry: Symmetry) -> Poses:
    """The nearest placement (batch of one) that keeps the axes of a symmetry where they are.

    Two maps with the same symmetry on the same axes can only differ by such a placement: any for C1; a turn about z, a
    half-turn about x and a shift along z for Cn; a half-step of the fold or a half-turn about x for Dn; a quarter-turn
    or nothing for the polyhedral groups.
    """
    if symmetry.order == 1:
        return pose
    rotation = pose.rotations[0].double()
    nearest = _normaliser(symmetry, rotation)
    shifts = torch.zeros_like(pose.shifts)
    if symmetry.name.startswith("C"):
        shifts[:, 2] = pose.shifts[:, 2]
    return Poses(nearest.to(pose.rotations)[None], shifts)


def _normaliser(symmetry: Symmetry, rotation: Tensor) -> Tensor:
    """The rotation nearest to a given one that maps the group's set of axes to itself."""
    kind = symmetry.name[0]
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)).to(rotation)
    if kind == "C":
        candidates = torch.stack([_turn_about_z(rotation), _turn_about_z(rotation @ flip) @ flip])
    elif kind == "D" and symmetry.order > 4:
        candidates = Symmetry(f"D{symmetry.order}").rotations.to(rotation)
    elif kind == "D" and symmetry.order == 4:
        candidates = Symmetry("O").rotations.to(rotation)
    elif kind in "DI":
        candidates = symmetry.rotations.to(rotation)
    else:
        candidates = _polyhedral_normaliser(symmetry).to(rotation)
    traces = torch.einsum("gij,ij->g", candidates, rotation)
    return candidates[traces.argmax()]


def _polyhedral_normaliser(symmetry: Symmetry) -> Tensor:
    """O for itself; T together with its quarter-turns about its two-fold axes."""
    if symmetry.name == "O":
        return symmetry.rotations
    group = symmetry.rotations
    two_fold = group[(group.diagonal(dim1=1, dim2=2).sum(-1) + 1).abs() < 1e-6][0]
    # The axis of a half-turn R is the column of (R + 1) / 2 with the largest norm.
    projector = (two_fold + torch.eye(3, dtype=torch.float64)) / 2
    axis = torch.nn.functional.normalize(projector[:, projector.norm(dim=0).argmax()], dim=0)
    return torch.cat([group, group @ rotvec_to_matrix(axis * (math.pi / 2))])


def _turn_about_z(rotation: Tensor) -> Tensor:
    angle = torch.atan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])
    return rotvec_to_matrix(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle]))
