"""How far estimated poses are from true ones, symmetry divided out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.rotations import mean_rotation

_ROUNDS = 10


@dataclass(frozen=True)
class PoseErrors:
    """Errors of each particle.

    Attributes
    ----------
    rotation_deg
        Angle between estimated and true rotation, the smallest over symmetry-equivalent ones, degrees.
    shift_voxels
        Distance between estimated and true shift, voxels.
    """

    rotation_deg: Float[Tensor, " particles"]
    shift_voxels: Float[Tensor, " particles"]


def compare_poses(estimated: Poses, true: Poses, symmetry: Symmetry) -> PoseErrors:
    """Errors of `estimated` against `true` for a reference of this symmetry.

    Raises
    ------
    InputError
        If the two differ in number.
    """
    if len(estimated) != len(true):
        raise InputError(f"poses: expected as many true poses as estimated ones, {len(estimated)}, got {len(true)}")
    angle = symmetry.distance(estimated.rotations.double(), true.rotations.double())
    return PoseErrors(torch.rad2deg(angle), (estimated.shifts.double() - true.shifts.double()).norm(dim=-1))


@runtime_checkable
class Frame(Protocol):
    """Which frame estimated poses are judged in: a component, one yaml under ``conf/evaluation``."""

    def __call__(self, estimated: Poses, true: Poses, symmetry: Symmetry) -> Poses:
        """The estimated poses expressed in the frame of the true ones."""
        ...


@dataclass(frozen=True)
class SameFrame:
    """The reference that particles were aligned to sits as the true one does: poses are judged as they are."""

    def __call__(self, estimated: Poses, true: Poses, symmetry: Symmetry) -> Poses:
        """The estimated poses, unchanged."""
        return estimated


@dataclass(frozen=True)
class RemoveCommonTransform:
    """The reference may be turned or moved as a whole, as after reference-free averaging: divide that out first."""

    def __call__(self, estimated: Poses, true: Poses, symmetry: Symmetry) -> Poses:
        """``estimated * common^-1``, with the common transform that most particles agree on."""
        return estimated.compose(expand(common_transform(estimated, true, symmetry).inverse(), len(estimated)))


def expand(pose: Poses, count: int) -> Poses:
    """One pose repeated."""
    return Poses(pose.rotations.expand(count, 3, 3), pose.shifts.expand(count, 3))


def common_transform(estimated: Poses, true: Poses, symmetry: Symmetry) -> Poses:
    """The one pose Q (batch of 1) for which ``estimated = true * S * Q`` fits best, S any symmetry operation.

    Every particle proposes a Q; the proposal with the least median distance to all others wins and is refined as the
    mean over the particles within three such medians, so that misaligned particles have no say. At most 1000 particles,
    evenly spaced, make and judge proposals, so that the cost does not grow with the square of their number.
    """
    relative = true.rotations.double().mT @ estimated.rotations.double()
    group = symmetry.rotations.to(relative)
    proposals = relative[:: max(1, len(relative) // 500)]
    spread = torch.stack([_distances(proposals, proposal, group)[0].median() for proposal in proposals])
    rotation = proposals[spread.argmin()]
    chosen = torch.eye(3).to(relative).expand_as(relative)
    for _ in range(_ROUNDS):
        distance, index = _distances(relative, rotation, group)
        chosen = group[index]
        trusted = distance <= 3 * distance.median() + 1e-9
        rotation = mean_rotation((chosen.mT @ relative)[trusted])
    # estimated.t = true.R S q + true.t, solved for q particle by particle
    difference = estimated.shifts.double() - true.shifts.double()
    moved = torch.einsum("pji,pj->pi", true.rotations.double() @ chosen, difference)
    return Poses(rotation[None], moved.median(dim=0).values[None]).to(estimated.rotations.dtype)


def _distances(
    relative: Float[Tensor, "particles 3 3"], rotation: Float[Tensor, "3 3"], group: Float[Tensor, "order 3 3"]
) -> tuple[Float[Tensor, " particles"], Tensor]:
    """Chordal distance of each ``S^T relative`` to `rotation` for the best S, and which S that is."""
    trace = torch.einsum("gij,pik,jk->pg", group, relative, rotation)
    best, index = trace.max(dim=-1)
    return (6 - 2 * best).clamp_min(0).sqrt(), index
