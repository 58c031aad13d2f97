"""Half-maps of particles at poses, whole or by class or part, and how far they agree."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.averaging import MapSums
from torchsag.averaging.mask import Mask
from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.pose_shares import PoseShares
from torchsag.parallel import Workers
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.chunked_sums import ChunkSums, half_map_sums
from torchsag.runs.masked_comparison import MaskedComparison

_log = logging.getLogger(__name__)

# Denominators below this part of their shell's mean count as that: a wedge's edge is not worth its noise.
_FLOOR = 0.05


@dataclass(frozen=True)
class HalfMapper:
    """Makes half-maps, on as many processes as there are.

    Attributes
    ----------
    particles, halves
        The set, and 1 or 2 for each particle.
    mask
        Makes the masks of the FSC.
    coarsest_angstrom
        The resolution at which outlines are drawn.
    device, chunk, workers, seed, skip_bad
        How the work is carried out.
    lost
        On the root, of particles that maps were made without, since they could not be used, why.
    """

    particles: ParticleSet
    halves: Integer[Tensor, " particles"]
    mask: Mask
    coarsest_angstrom: float
    device: torch.device
    chunk: int
    workers: Workers
    seed: int
    skip_bad: bool = False
    lost: dict[int, str] = field(default_factory=dict)

    def members(self, half: int) -> Integer[Tensor, " members"]:
        """Rows of the particles of a half."""
        return (self.halves == half).nonzero()[:, 0]

    def sums(
        self,
        poses: Poses,
        group: Integer[Tensor, " particles"],
        groups: int,
        strength: Float[Tensor, " particles"] | None = None,
        shared: PoseShares | None = None,
    ) -> MapSums:
        """Sums of groups, numbered from 1, meaningful on the root; a particle of group 0 is left out.

        Each enters at its pose, or at those of `shared` with their shares.
        """
        rows = (group > 0).nonzero()[:, 0]
        chosen = strength if strength is None else strength[rows]
        particles = self.particles if len(rows) == len(group) else self.particles.select(rows.tolist())
        several = shared if shared is None else shared[rows]
        job = ChunkSums(particles, poses[rows], group[rows], self.device, self.skip_bad, groups, chosen, several)
        sums, faults = half_map_sums(job, self.chunk, self.workers)
        self.lost.update({int(rows[position]): reason for position, reason in faults.items()})
        return sums

    def without_lost(self, faults: Sequence[str]) -> tuple[str, ...]:
        """What is wrong with each particle, those lost since included; they are looked for anew from here on."""
        joined = tuple(fault or self.lost.get(row, "") for row, fault in enumerate(faults))
        for reason in self.lost.values():
            _log.warning("set aside: %s", reason)
        self.lost.clear()
        return joined

    def maps(self, sums: MapSums, symmetry: Symmetry) -> tuple[DensityMap, ...]:
        """A map of each group, unfiltered."""
        return sums.finish(symmetry, floor=_FLOOR)

    @property
    def comparison(self) -> MaskedComparison:
        """How half-maps are compared."""
        return MaskedComparison(self.mask, self.coarsest_angstrom, self.seed)

    def mask_around(self, density: DensityMap) -> Float[Tensor, "z y x"]:
        """Where the particle is in a map."""
        return self.comparison.mask_around(density)

    def compare(self, first: DensityMap, second: DensityMap) -> HalfMapFSC:
        """FSC of half-maps under the union of their masks."""
        return self.comparison.compare(first, second)
