"""Turns that keep a point group's axes where they are: by these two maps of that symmetry may differ."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry.rotations import rotvec_to_matrix
from torchsag.geometry.symmetry import Symmetry


def nearest_in_normaliser(symmetry: Symmetry, rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """The rotation nearest to a given one that maps the group's set of axes to itself.

    A turn about z and a half-turn about x for cyclic groups, half a step of the fold or a half-turn about x for
    dihedral ones, quarter-turns or nothing for the polyhedral.
    """
    candidates = _cyclic(rotation) if symmetry.is_cyclic else _discrete(symmetry).to(rotation)
    return candidates[torch.einsum("gij,ij->g", candidates, rotation).argmax()]


def _cyclic(rotation: Tensor) -> Tensor:
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)).to(rotation)
    return torch.stack([_turn_about_z(rotation), _turn_about_z(rotation @ flip) @ flip])


def _discrete(symmetry: Symmetry) -> Tensor:
    if symmetry.is_dihedral and symmetry.fold_about_z > 2:
        return Symmetry(f"D{symmetry.order}").rotations
    if symmetry.is_dihedral and symmetry.fold_about_z == 2:
        return Symmetry("O").rotations  # three two-fold axes that can change places
    quarter = _quarter_turn(symmetry.rotations)
    if symmetry.is_closed_under(quarter):
        return torch.cat([symmetry.rotations, symmetry.rotations @ quarter])
    return symmetry.rotations


def _quarter_turn(group: Float[Tensor, "order 3 3"]) -> Tensor:
    """About the axis of the first half-turn of a group that has one."""
    half_turn = group[(group.diagonal(dim1=1, dim2=2).sum(-1) + 1).abs() < 1e-6][0]
    # The axis of a half-turn R is the column of (R + 1) / 2 with the largest norm.
    projector = (half_turn + torch.eye(3, dtype=torch.float64)) / 2
    axis = torch.nn.functional.normalize(projector[:, projector.norm(dim=0).argmax()], dim=0)
    return rotvec_to_matrix(axis * (math.pi / 2))


def _turn_about_z(rotation: Tensor) -> Tensor:
    angle = torch.atan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])
    return rotvec_to_matrix(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle]))
