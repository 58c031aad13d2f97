"""Particles as data sets of `torch.utils.data`: from files, and simulated on the fly.

Both give whole batches (`ParticleBatch`), since particles of one batch share weights. With a DataLoader::

    data = SubtomogramDataset(read_particles("particles.star"))
    loader = DataLoader(data, batch_size=16, shuffle=True, num_workers=4)

    stream = SimulatedParticles(reference, FastPipeline(snr=0.1), UniformPoses(3.0), batch_size=16, seed=0)
    loader = DataLoader(stream, batch_size=None, num_workers=4)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet
from torchsag.requirements import require_kind, require_whole
from torchsag.simulation.pipeline import Pipeline
from torchsag.simulation.pose_distribution import PoseDistribution


class IndexedParticles(NamedTuple):
    """Particles of a data set, and which of it they are."""

    numbers: Tensor
    particles: ParticleBatch


Loaded = ParticleBatch | IndexedParticles


class SubtomogramDataset(Dataset):
    """Particles of a list, read as they are asked for; `torchsag.particles.ParticleSet` says how.

    Entry i is a `ParticleBatch` of one. A DataLoader asks for all entries of a batch at once and gets one
    `ParticleBatch`. Works in worker processes, however they are started.

    Parameters
    ----------
    particles
        The list.
    with_index
        Hand out pairs ``(index, batch)``: which particles these are, for what belongs to each particle, such as its
        pose in a `ForwardModel` and its term in `torchsag.optim.SAG`, under any order of the loader.
    """

    def __init__(self, particles: ParticleSet, with_index: bool = False):
        require_kind("particles", particles, ParticleSet, "a ParticleSet", "read_particles reads one from a list")
        self.particles, self.with_index = particles, with_index

    def __len__(self) -> int:
        return len(self.particles)

    def __getitem__(self, index: int) -> Loaded:
        """One particle."""
        return self._load([index])

    def __getitems__(self, indices: Sequence[int]) -> list[Loaded]:
        """The particles of a batch, read together: a list of one, as a DataLoader collates lists."""
        return [self._load(indices)]

    def _load(self, indices: Sequence[int]) -> Loaded:
        batch = self.particles.load(indices)
        return IndexedParticles(torch.as_tensor(indices), batch) if self.with_index else batch

    @staticmethod
    def collate(loaded: Loaded | Sequence[Loaded]) -> Loaded:
        """One batch of what a DataLoader has fetched, which by itself does the same."""
        if not isinstance(loaded, list):
            return cast(Loaded, loaded)
        if not loaded or not all(isinstance(_batch_of(entry), ParticleBatch) for entry in loaded):
            raise InputError(f"particles: expected a list of what this data set hands out, got {len(loaded)} others")
        batch = ParticleBatch.concatenate([_batch_of(entry) for entry in loaded])
        indices = [entry[0] for entry in loaded if isinstance(entry, tuple)]
        return IndexedParticles(torch.cat(indices), batch) if indices else batch


class SimulatedParticles(IterableDataset):
    """Batches of simulated particles with their true poses, without end or up to a number of batches.

    Particle i depends on the seed and on i alone. Worker w of n makes batches w, w + n, ...: together they make what
    one process would, each particle once, and a DataLoader hands them out in the same order. Another epoch is another
    seed: ``set_epoch``.

    Parameters
    ----------
    reference
        The structure.
    pipeline
        How it is imaged (`torchsag.simulation`).
    poses
        How particles lie.
    batch_size
        Particles in a batch.
    seed
        Fixes everything.
    batches
        Batches of an epoch; None goes on for ever.
    """

    def __init__(
        self,
        reference: DensityMap,
        pipeline: Pipeline,
        poses: PoseDistribution,
        batch_size: int = 16,
        seed: int = 0,
        batches: int | None = None,
    ):
        require_kind("reference", reference, DensityMap, "a DensityMap", "DensityMap(density, voxel_size) makes one")
        require_kind("pipeline", pipeline, Pipeline, "a simulation such as FastPipeline(snr=0.1)")
        require_kind("poses", poses, PoseDistribution, "a distribution of poses such as UniformPoses(3.0)")
        require_whole("batch_size", batch_size, 1)
        require_whole("seed", seed)
        if batches is not None:
            require_whole("batches", batches, 1)
        self.reference, self.pipeline, self.poses = reference, pipeline, poses
        self.batch_size, self.batches = batch_size, batches
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Other particles, before the loader's next iteration."""
        require_whole("epoch", epoch)
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[ParticleBatch, Poses]]:
        """Batches and the true poses of their particles."""
        worker = get_worker_info()
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        prepared = self.pipeline.prepare(self.reference)
        number = first
        while self.batches is None or number < self.batches:
            yield self._batch(prepared, number)
            number += stride

    def _batch(self, prepared, number: int) -> tuple[ParticleBatch, Poses]:
        particles = range(number * self.batch_size, (number + 1) * self.batch_size)
        seed = self.seed if self.epoch == 0 else _mixed(self.seed, self.epoch)
        poses = self.poses.draw(seed, particles).to(torch.float32)
        return prepared(poses, particles, seed), poses


def _batch_of(entry: Loaded) -> ParticleBatch:
    return entry[1] if isinstance(entry, tuple) else entry


def _collate(loaded: Any, *, collate_fn_map: Any = None) -> Loaded:
    """In the form in which torch asks for it, by the classes of a batch."""
    return SubtomogramDataset.collate(loaded)


default_collate_fn_map[ParticleBatch] = default_collate_fn_map[IndexedParticles] = _collate


def _mixed(seed: int, epoch: int) -> int:
    """A seed of its own for each epoch, far from those a user would choose."""
    return (seed * 0x9E3779B1 + epoch * 0x85EBCA77 + 0x165667B1) % 2**62
