"""Make the particles and the reference of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from torchsag.averaging import MapSums
from torchsag.bench.task import Task
from torchsag.bench.truth import Truth, draw
from torchsag.fourier import low_pass
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.simulation.fast import FastPipeline, PreparedFast
from torchsag.simulation.structures import CappedPhantom, GroelPhantom, RibosomePhantom, Structure

_STRUCTURES: Mapping[str, Structure] = {
    "ribosome": RibosomePhantom(),
    "groel": GroelPhantom(),
    "capped": CappedPhantom(),
}


@dataclass(frozen=True)
class Problem:
    """A task as data.

    Attributes
    ----------
    task
        Its recipe.
    particles
        Without poses.
    truth
        Kept back from entrants.
    reference
        What entrants are given, if anything.
    structures
        What the particles are images of, by class.
    noise_variance
        Per voxel, before the wedge.
    """

    task: Task
    particles: ParticleBatch
    truth: Truth
    reference: DensityMap | None
    structures: tuple[DensityMap, ...]
    noise_variance: float

    def beginning(self, count: int) -> Problem:
        """The first `count` particles alone."""
        return replace(self, particles=self.particles[:count], truth=Truth(self.truth.table[:count]))


def make(task: Task) -> Problem:
    """Simulate a task in memory, on the CPU."""
    structures = tuple(_STRUCTURES[name].density(task.box, task.voxel_size_angstrom) for name in task.structures)
    pipelines = _pipelines(task, structures)
    truth = draw(task)
    particles = _image(task, pipelines, truth, range(task.particles))
    reference = _reference(task, structures, pipelines) if task.reference_given else None
    return Problem(task, particles, truth, reference, structures, pipelines[0].sigma ** 2)


def _pipelines(task: Task, structures: Sequence[DensityMap]) -> tuple[PreparedFast, ...]:
    """One for each structure, with the same noise in all: its strength must not tell the classes apart."""
    pipeline = FastPipeline(task.snr, task.tilt_deg)
    prepared = [pipeline.prepare(structure) for structure in structures]
    return tuple(replace(one, sigma=prepared[0].sigma) for one in prepared)


def _image(task: Task, pipelines: Sequence[PreparedFast], truth: Truth, rows: range) -> ParticleBatch:
    parts, order = [], []
    for number, pipeline in enumerate(pipelines, 1):
        members = torch.nonzero(truth.classes == number)[:, 0]
        if len(members):
            parts.append(pipeline(truth.poses[members], [rows[i] for i in members.tolist()], task.seed))
            order.append(members)
    place = torch.cat(order).argsort()
    names = tuple(task.particle_name(row) for row in rows)
    spectra = torch.cat([part.spectra for part in parts])[place]
    return replace(parts[0], spectra=spectra, weight_index=torch.zeros(len(rows), dtype=torch.long), names=names)


def _reference(task: Task, structures: Sequence[DensityMap], pipelines: Sequence[PreparedFast]) -> DensityMap:
    density = torch.stack([structure.density for structure in structures]).mean(0)
    if task.reference_particles:
        truth = draw(task, task.particles, task.reference_particles)
        rows = range(task.particles, task.particles + task.reference_particles)
        others = _image(task, pipelines, truth, rows)
        sums = MapSums.empty(others.box, others.voxel_size, groups=1)
        sums.add(others, truth.poses.to(torch.float32), torch.zeros(len(others), dtype=torch.long))
        density = sums.finish(Symmetry(task.symmetry))[0].density
    if task.reference_angstrom is not None:
        density = low_pass(density, task.reference_angstrom, task.voxel_size_angstrom)
    return DensityMap(density, task.voxel_size_angstrom)
