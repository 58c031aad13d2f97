"""Half-maps of every class, their FSC, and what becomes of them: a reference, a map to look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.averaging.filtering import figure_of_merit, reference_weight, weigh_shells
from torchsag.averaging.outline import Outline
from torchsag.averaging.reconstruct import MapSums
from torchsag.evaluation.half_map_fsc import HalfMapFSC, compare_half_maps
from torchsag.geometry import Poses, Symmetry
from torchsag.parallel import Workers
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.chunked_sums import ChunkSums, half_map_sums

# Denominators below this part of their shell's mean count as that: a wedge's edge is not worth its noise.
_FLOOR = 0.05


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

    def reference(self, half: int, outline: Outline, coarsest_angstrom: float) -> DensityMap:
        """What one half is aligned to: its own map, weighted by the FSC, low-passed where that says nothing."""
        own = self.halves[half - 1]
        coarsest_shell = own.box[0] * own.voxel_size / coarsest_angstrom
        filtered = weigh_shells(own, reference_weight(self.fsc.corrected, coarsest_shell))
        return replace(filtered, density=filtered.density * outline(filtered, coarsest_angstrom))


@dataclass(frozen=True)
class ClassMapper:
    """Makes the maps of classes.

    Attributes
    ----------
    particles, halves
        The set, and 1 or 2 for each particle.
    outline
        Makes the mask of the FSC.
    coarsest_angstrom
        The resolution at which outlines are drawn.
    device, chunk, workers, seed
        How the work is carried out.
    """

    particles: ParticleSet
    halves: Integer[Tensor, " particles"]
    outline: Outline
    coarsest_angstrom: float
    device: torch.device
    chunk: int
    workers: Workers
    seed: int

    def __call__(
        self, poses: Poses, labels: Integer[Tensor, " particles"], classes: int, symmetry: Symmetry
    ) -> list[ClassMap]:
        """One per class 0 .. classes - 1, on every rank; particles with other labels are left out."""
        members = ((labels >= 0) & (labels < classes)).nonzero()[:, 0]
        groups = 2 * labels[members] + self.halves[members]
        chunks = ChunkSums(
            self.particles.select(members.tolist()), poses[members], groups, self.device, groups=2 * classes
        )
        sums = half_map_sums(chunks, self.chunk, self.workers)
        made = None
        if self.workers.is_root:
            made = [self._one(_rows(sums, 2 * label, 2 * label + 2), symmetry) for label in range(classes)]
        made = self.workers.broadcast(made)
        assert made is not None
        return made

    def _one(self, sums: MapSums, symmetry: Symmetry) -> ClassMap:
        whole = sums.pooled().finish(symmetry, floor=_FLOOR)[0]
        if bool((sums.counts > 0).all()):
            first, second = sums.finish(symmetry, floor=_FLOOR)
            masks = [self.outline(one, self.coarsest_angstrom) for one in (first, second)]
            fsc = compare_half_maps(first, second, torch.maximum(*masks), self.seed)
            return ClassMap((first, second), whole, fsc)
        nothing = torch.zeros(whole.box[0] // 2 + 1)
        fsc = HalfMapFSC(nothing, nothing, nothing, nothing, 1, whole.box, whole.voxel_size)
        return ClassMap((whole, whole), whole, fsc)


def _rows(sums: MapSums, first: int, last: int) -> MapSums:
    rows = slice(first, last)
    return replace(sums, numerator=sums.numerator[rows], denominator=sums.denominator[rows], counts=sums.counts[rows])
