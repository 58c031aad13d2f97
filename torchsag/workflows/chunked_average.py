"""Average a particle set at poses, chunk by chunk, on as many processes as there are."""

from __future__ import annotations

import torch

from torchsag.geometry import Poses, Symmetry
from torchsag.parallel import Workers
from torchsag.particles import DensityMap, ParticleSet
from torchsag.workflows.half_maps import ChunkSums, half_map_sums


def average_at(
    particles: ParticleSet, poses: Poses, symmetry: Symmetry, device: torch.device, chunk: int, workers: Workers
) -> DensityMap:
    """One map from all particles, meaningful on the root; memory does not grow with their number."""
    every = torch.ones(len(particles), dtype=torch.long)
    sums = half_map_sums(ChunkSums(particles, poses, every, device, groups=1), chunk, workers)
    if not workers.is_root:
        return DensityMap(torch.zeros(particles.box), particles.voxel_size)
    return sums.finish(symmetry)[0]
