"""Where the halves of a run began apart: each onto its own symmetry axes, then one onto the other."""

from __future__ import annotations

import logging
from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.averaging.filtering import weigh_shells
from torchsag.averaging.frames import as_particle, bring_back, onto_axes
from torchsag.averaging.symmetry_axes import find_symmetry_axes
from torchsag.fourier import last_above
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.modes import PoseModes
from torchsag.particles import DensityMap

_log = logging.getLogger(__name__)
# Shells with less trust than this say little of where axes stand.
_LEAST_TRUST = 0.1


def composed(result: AlignmentResult, members: Bool[Tensor, " particles"], pose: Poses) -> AlignmentResult:
    """The result with the poses of some particles composed with one pose, ``pose_p o pose``."""
    turned = result.poses[members].compose(pose)
    rotations, shifts = result.poses.rotations.clone(), result.poses.shifts.clone()
    rotations[members], shifts[members] = turned.rotations, turned.shifts
    return replace(result, poses=Poses(rotations, shifts), modes=_composed_modes(result.modes, members, pose))


def _composed_modes(modes: PoseModes | None, members: Bool[Tensor, " particles"], pose: Poses) -> PoseModes | None:
    if modes is None:
        return None
    turned = modes.poses.compose(pose)
    return replace(modes, poses=turned.where(members[:, None].expand_as(modes.gain), modes.poses))


def axes_pose(half_map: DensityMap, symmetry: Symmetry, trust: Float[Tensor, " shells"]) -> Poses:
    """What the poses of a half are composed with so that its map stands on the axes of a symmetry."""
    last = last_above(trust, _LEAST_TRUST)
    axes = find_symmetry_axes(weigh_shells(half_map, trust), symmetry, max(3, last))
    _log.info("%s axes found, agreement %.2f", symmetry.name, axes.agreement)
    return axes.pose


def placement(
    first: DensityMap, second: DensityMap, mask: Float[Tensor, "z y x"], method: Aligner, symmetry: Symmetry
) -> Poses:
    """What turns half-map 1 into half-map 2, and what the poses of half 2 are composed with to undo it.

    Parameters
    ----------
    first, second
        Filtered half-maps.
    mask
        Of the first.
    method
        Searches all orientations.
    symmetry
        Of both maps, on the same axes; the placement leaves these where they are.
    """
    reference = replace(first, density=first.density * mask)
    turned = method.prepare(reference, symmetry, "cpu")(as_particle(second)).poses.to("cpu")
    # After the iteration before, half 2 stood in the frame of half 1, which holds where noise misleads the search.
    candidates = [onto_axes(turned, symmetry), Poses.identity(1)]
    return max(candidates, key=lambda pose: _overlap(reference, bring_back(second, pose)))


def _overlap(masked: DensityMap, other: DensityMap) -> float:
    """Correlation of a masked map with another, over the box."""
    product = (masked.density * other.density).sum()
    return float(product / (masked.density.norm() * other.density.norm()).clamp_min(1e-30))
