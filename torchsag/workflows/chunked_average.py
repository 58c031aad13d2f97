"""Average a particle set at poses, chunk by chunk."""

from __future__ import annotations

import torch

from torchsag.averaging import MapSums
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleSet


def average_at(
    particles: ParticleSet, poses: Poses, symmetry: Symmetry, device: torch.device, chunk: int
) -> DensityMap:
    """One map from all particles; memory does not grow with their number."""
    sums = MapSums.empty(particles.box, particles.voxel_size, device=device)
    for start in range(0, len(particles), chunk):
        rows = range(start, min(start + chunk, len(particles)))
        sums.add(particles.load(rows, device), poses[rows.start : rows.stop].to(device))
    return sums.finish(symmetry)[0].to("cpu")
