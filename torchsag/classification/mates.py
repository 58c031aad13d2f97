"""Poses that a common average of higher symmetry cannot tell apart, and what turning a class does to them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Symmetry

_SAME = 1e-6


def symmetry_mates(symmetry: Symmetry, common: Symmetry) -> Float[Tensor, "mates 3 3"]:
    """One rotation of each coset ``h S`` of the classes' symmetry S in the common one, the identity first.

    Raises
    ------
    InputError
        If `symmetry` is not a subgroup of `common`.
    """
    group = common.rotations
    if (_nearest(group, symmetry.rotations) > _SAME).any():
        raise InputError(
            f"common_symmetry: expected a group that contains the classes' {symmetry.name}, got {common.name}"
        )
    mates: list[Tensor] = []
    for rotation in group:
        if all(float(_nearest(mate @ symmetry.rotations, rotation[None])) > _SAME for mate in mates):
            mates.append(rotation)
    return torch.stack(mates)


def class_turns(mates: Float[Tensor, "mates 3 3"], symmetry: Symmetry) -> Integer[Tensor, "turns mates"]:
    """Where the members' mates go when a class as a whole is turned; one row per turn, the first leaves all in place.

    Only turns that leave the symmetry's axes where they are can be made: h in which ``h^-1 S h = S``.
    """
    group = symmetry.rotations
    rows = []
    for turn in mates.double():
        if not symmetry.is_closed_under(turn):
            continue
        turned = mates.double() @ turn
        cosets = (mates.double()[:, None] @ group).reshape(-1, 3, 3)
        place = torch.stack([(cosets - one).abs().amax((-2, -1)).argmin() for one in turned])
        rows.append(place // len(group))
    return torch.stack(rows)


def _nearest(group: Tensor, rotations: Tensor) -> Tensor:
    """Largest difference of an entry between each rotation and the nearest of a set."""
    return (group[:, None] - rotations[None]).abs().amax((-2, -1)).amin(0)
