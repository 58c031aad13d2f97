"""Average a particle set at poses, chunk by chunk, on as many processes as there are."""

from __future__ import annotations

from collections.abc import Callable

import torch

from torchsag.averaging import MapSums
from torchsag.geometry import Poses, Symmetry
from torchsag.parallel import Serial, Workers, fair_chunk
from torchsag.particles import DensityMap, ParticleSet


def average_at(
    particles: ParticleSet,
    poses: Poses,
    symmetry: Symmetry,
    device: torch.device,
    chunk: int,
    workers: Workers | None = None,
) -> DensityMap:
    """One map from all particles, on the root; memory does not grow with their number."""
    workers = Serial() if workers is None else workers

    def sums_of(rows: range) -> MapSums:
        sums = MapSums.empty(particles.box, particles.voxel_size, device=device)
        sums.add(particles.load(rows, device), poses[rows.start : rows.stop].to(device))
        return sums.to("cpu")

    sums = summed(sums_of, MapSums.empty(particles.box, particles.voxel_size), len(particles), chunk, workers)
    if not workers.is_root:
        return DensityMap(torch.zeros(particles.box), particles.voxel_size)
    return sums.finish(symmetry)[0]


def summed(sums_of: Callable[[range], MapSums], nothing: MapSums, count: int, chunk: int, workers: Workers) -> MapSums:
    """Sums over `count` particles, on the root: each rank adds up its own in float64, one reduction joins them.

    On other ranks the result is of no use.
    """
    size = fair_chunk(count, chunk, workers.size)
    own = [nothing]

    def add(rows: range) -> None:
        own[0] = own[0] + sums_of(rows)

    for _ in workers.map_chunks(add, [range(start, min(start + size, count)) for start in range(0, count, size)]):
        pass
    return own[0].reduce(workers.sum_to_root)
