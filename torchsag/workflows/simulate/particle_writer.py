"""Make simulated particles and write them, some at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier.transforms import full_weight
from torchsag.io import write_map
from torchsag.io.particle_list import ListOrigin
from torchsag.io.volumes import read_volume
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet, Transfer, VolumeSource
from torchsag.runs.checkpoint import Columns
from torchsag.simulation.pipeline import PreparedPipeline
from torchsag.simulation.pose_distribution import PoseDistribution
from torchsag.simulation.randomness import Purpose, particle_stream


@dataclass(frozen=True)
class ParticleWriter:
    """Makes particles by number; each is a file of its own, complete or absent.

    Attributes
    ----------
    folder
        Holds ``particles/`` and ``weights/``.
    pipelines
        One for each structure of a mixture.
    shares
        Probability of each structure.
    poses
        Where true poses come from.
    seed
        Fixes everything random.
    float16
        Whether volumes are stored in half precision.
    """

    folder: Path
    pipelines: tuple[PreparedPipeline, ...]
    shares: tuple[float, ...]
    poses: PoseDistribution
    seed: int
    float16: bool

    def __call__(self, rows: range) -> Columns:
        """Make and write `rows`; returns each particle's weight file."""
        classes = self.classes(rows)
        weights = np.empty(len(rows), dtype=object)
        for index, pipeline in enumerate(self.pipelines):
            members = np.flatnonzero(classes == index)
            if len(members) == 0:
                continue
            particles = [rows[i] for i in members]
            batch = pipeline(self.poses.draw(self.seed, particles), particles, self.seed).to("cpu")
            files = [self._write_weight(batch, k) for k in range(len(batch.weights))]
            for k, member in enumerate(members):
                density = DensityMap(batch.volumes[k], batch.voxel_size)
                write_map(self.folder / volume_name(rows[member]), density, self.float16)
                weights[member] = files[batch.weight_index[k]]
        return {"weight": weights.astype(str)}

    def classes(self, rows: Sequence[int]) -> np.ndarray:
        """Which structure each particle is, from zero."""
        draws = [particle_stream(self.seed, i, Purpose.CLASS).random() for i in rows]
        last = len(self.shares) - 1
        return np.searchsorted(np.cumsum(self.shares), draws, side="right").clip(max=last)

    def _write_weight(self, batch: ParticleBatch, index: int) -> str:
        """Write a weight once, under a name made of its contents: particles of many chunks may share it."""
        weight = batch.weights[index].contiguous()
        name = f"weights/{_digest(weight)}.mrc"
        path = self.folder / name
        if not path.exists():
            write_map(path, DensityMap(full_weight(weight, batch.box).contiguous(), batch.voxel_size))
        return name

    def particle_set(self, reference: DensityMap, weights: Sequence[str]) -> ParticleSet:
        """All particles written, with their true poses and classes."""
        rows = range(len(weights))
        names = tuple(volume_name(i) for i in rows)
        return ParticleSet(
            names=names,
            box=reference.box,
            voxel_size=reference.voxel_size,
            volumes=tuple(VolumeSource(self.folder / name) for name in names),
            weights=tuple(VolumeSource(self.folder / name) for name in weights),
            weighting=Transfer(),
            reader=read_volume,
            poses=self.poses.draw(self.seed, rows),
            classes=torch.from_numpy(self.classes(rows) + 1),
            origin=ListOrigin(folder=self.folder, blocks={}),
        )


def volume_name(particle: int) -> str:
    """Where a particle's volume stands in its folder."""
    return f"particles/particle_{particle:06d}.mrc"


def _digest(weight: Float[Tensor, "z y kx"]) -> str:
    return hashlib.sha256(weight.numpy().tobytes()).hexdigest()[:12]
