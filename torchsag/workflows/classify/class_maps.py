"""Half-maps of every class, their FSC, and what becomes of them: a reference, a map to look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.averaging.filtering import figure_of_merit, reference_weight, weigh_shells
from torchsag.averaging.mask import Mask
from torchsag.averaging.reconstruct import MapSums
from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleError
from torchsag.runs.half_mapper import HalfMapper


@dataclass(frozen=True)
class ClassMap:
    """What the members of a class, or of the whole set, add up to.

    Attributes
    ----------
    halves
        Unfiltered half-maps; of a class whose members are all in one half, twice the same map.
    whole
        The map of both, unfiltered.
    fsc
        Of the half-maps under a mask; zero where there is only one.
    """

    halves: tuple[DensityMap, DensityMap]
    whole: DensityMap
    fsc: HalfMapFSC

    def shown(self) -> DensityMap:
        """The map of both halves, weighted by what the FSC says it is worth."""
        return weigh_shells(self.whole, figure_of_merit(self.fsc.corrected))

    def reference(self, half: int, mask: Mask, coarsest_angstrom: float) -> DensityMap:
        """What one half is aligned to: its own map, weighted by the FSC, low-passed where that says nothing."""
        own = self.halves[half - 1]
        coarsest_shell = own.box[0] * own.voxel_size / coarsest_angstrom
        filtered = weigh_shells(own, reference_weight(self.fsc.corrected, coarsest_shell))
        return replace(filtered, density=filtered.density * mask(filtered, coarsest_angstrom))


def class_maps(
    mapper: HalfMapper, poses: Poses, labels: Integer[Tensor, " particles"], classes: int, symmetry: Symmetry
) -> list[ClassMap]:
    """One per class 0 .. classes - 1, on every rank; particles with other labels are left out.

    Raises
    ------
    ParticleError
        If some can no longer be used, on every rank; without them in the maps of the mapper's particles.
    """
    used = (labels >= 0) & (labels < classes)
    sums = mapper.sums(poses, torch.where(used, 2 * labels + mapper.halves, 0), 2 * classes)
    made = None
    if mapper.workers.is_root:
        made = _class_maps(mapper, sums, symmetry)
    made, lost = mapper.workers.broadcast((made, dict(mapper.lost)))
    if lost:
        raise ParticleError(lost)
    assert made is not None
    return made


def _class_maps(mapper: HalfMapper, sums: MapSums, symmetry: Symmetry) -> list[ClassMap]:
    """All classes together: symmetry looks up what its rotations need once for all maps."""
    wholes = mapper.maps(sums.pooled(2), symmetry)
    both = (sums.counts.unflatten(0, (-1, 2)) > 0).all(1)
    halves = iter(mapper.maps(_rows(sums, both.repeat_interleave(2)), symmetry) if bool(both.any()) else ())
    return [
        _of_both(mapper, whole, (next(halves), next(halves))) if two else _alone(whole)
        for whole, two in zip(wholes, both.tolist(), strict=True)
    ]


def _of_both(mapper: HalfMapper, whole: DensityMap, halves: tuple[DensityMap, DensityMap]) -> ClassMap:
    return ClassMap(halves, whole, mapper.compare(*halves))


def _alone(whole: DensityMap) -> ClassMap:
    nothing = torch.zeros(whole.box[0] // 2 + 1)
    fsc = HalfMapFSC(nothing, nothing, nothing, nothing, 1, whole.box, whole.voxel_size)
    return ClassMap((whole, whole), whole, fsc)


def _rows(sums: MapSums, rows: Tensor) -> MapSums:
    return replace(sums, numerator=sums.numerator[rows], denominator=sums.denominator[rows], counts=sums.counts[rows])
