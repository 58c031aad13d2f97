"""Maps of a particle set at poses, by half-set or class, chunk by chunk, on as many processes as there are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.averaging import MapSums
from torchsag.averaging.balanced import balanced_average
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.masks import spherical_mask
from torchsag.likelihood.pose_shares import PoseShares
from torchsag.parallel import Workers, fair_chunk
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.usable_particles import load_usable_gridded


@dataclass(frozen=True)
class ChunkSums:
    """Sums over some rows of a particle set, one group per half or whatever else divides it.

    Attributes
    ----------
    particles
        The set.
    poses
        One per particle; a particle whose pose is not finite was set aside and is left out.
    group
        The group of each particle, from 1: its half-set, or its class and half-set in one number.
    device
        Where the sums are made.
    skip_bad
        Whether unusable particles are left out instead of ending the run.
    groups
        How many groups there are.
    strength
        How much each particle counts; None for all the same.
    shared
        At which poses each particle enters, with which shares, in place of the one of `poses`.
    """

    particles: ParticleSet
    poses: Poses
    group: Integer[Tensor, " particles"]
    device: torch.device
    skip_bad: bool = False
    groups: int = 2
    strength: Float[Tensor, " particles"] | None = None
    shared: PoseShares | None = None

    def __call__(self, rows: range) -> tuple[MapSums, dict[int, str]]:
        """The sums of these rows, on the CPU, and what is wrong with those that were left out."""
        sums = MapSums.empty(self.particles.box, self.particles.voxel_size, self.groups, device=self.device)
        finite = self.poses.shifts.isfinite().all(-1)
        usable = [row for row in rows if finite[row]]
        batch, usable, faults = load_usable_gridded(self.particles, usable, self.device, self.skip_bad)
        if batch is not None:
            kept = torch.tensor(usable)
            strength = None if self.strength is None else self.strength[kept].to(self.device)
            group = (self.group[kept] - 1).to(self.device)
            if self.shared is None:
                sums.add(batch, self.poses[kept].to(self.device), group, strength)
            else:
                shared = self.shared[kept].to(self.device)
                sums.add(batch, shared.poses, group, strength, shared.shares)
        return sums.to("cpu"), faults


def half_map_sums(sums: ChunkSums, chunk: int, workers: Workers) -> tuple[MapSums, dict[int, str]]:
    """Sums over all particles, on the root: each rank adds up what it makes, in float64, and one reduction joins them.

    Beside them, of each particle that could not be used, by its position in the set, why. On other ranks the result is
    of no use.

    Raises
    ------
    InputError
        If none could be used.
    """
    count = len(sums.particles)
    size = fair_chunk(count, chunk, workers.size)
    own = [MapSums.empty(sums.particles.box, sums.particles.voxel_size, sums.groups)]

    def add(rows: range) -> dict[int, str]:
        made, faults = sums(rows)
        own[0] = own[0] + made
        return faults

    lost: dict[int, str] = {}
    chunks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    for _, faults in workers.map_chunks(add, chunks):
        lost |= faults
    whole = own[0].reduce(workers.sum_to_root)
    if lost and not bool((whole.counts > 0).any()):
        raise InputError(
            f"every particle was set aside, none is left to average; the first: {next(iter(lost.values()))}"
        )
    return whole, lost


def average_at(
    particles: ParticleSet,
    poses: Poses,
    symmetry: Symmetry,
    device: torch.device,
    chunk: int,
    workers: Workers,
    skip_bad: bool = False,
    lost: dict[int, str] | None = None,
) -> DensityMap:
    """One map from all particles, meaningful on the root; memory does not grow with their number.

    With `skip_bad` particles that cannot be used are left out; which and why is added to `lost`.

    Images of a box show what lies in the corners of its volume from some directions only; where any particle is a
    tilt stack the map ends, softly, at the largest sphere in the box.
    """
    turns = torch.arange(len(particles)) % 2 + 1
    sums, faults = half_map_sums(ChunkSums(particles, poses, turns, device, skip_bad), chunk, workers)
    if lost is not None:
        lost |= faults
    if not workers.is_root:
        return DensityMap(torch.zeros(particles.box), particles.voxel_size)
    average = balanced_average(sums, symmetry)
    if particles.assembles:
        return replace(average, density=average.density * spherical_mask(average.box))
    return average
