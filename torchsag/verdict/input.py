"""All checks of particles before anything is done with them."""

from __future__ import annotations

from jaxtyping import Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.particles import ParticleSet
from torchsag.particles.scale import unusable_scale
from torchsag.verdict.copies import CopiesInBothHalves, Pairs, close_positions, same_file, same_voxels
from torchsag.verdict.finding import Finding
from torchsag.verdict.sample import sample_rows
from torchsag.verdict.small_box import SmallBox
from torchsag.verdict.values import Extent, OutlierVoxels, ScaleExtreme
from torchsag.verdict.wedge import NoWedge

_SAMPLE = 64
# Part of the box below which two particles have at least two thirds of their voxels in common.
_LEAST_DISTANCE = 0.125


def judge_input(
    particles: ParticleSet, halves: Integer[Tensor, " particles"] | None, seed: int = 0
) -> list[Finding | None]:
    """Copies among all particles, what is known of their wedges, their box, and the values of a sample."""
    least = _LEAST_DISTANCE * min(particles.box) * particles.voxel_size
    exact = [*same_file(particles), *same_voxels(particles)]
    names, extents = [], []
    for row in sample_rows(len(particles), _SAMPLE, seed):
        try:
            volume = particles.reader(particles.volumes[row])
        except (InputError, OSError):
            continue  # the run itself will say so
        low, high = volume.aminmax()
        if not unusable_scale(float(low), float(high)):  # else the run refuses it, or sets it aside
            names.append(particles.names[row])
            extents.append(Extent.of(volume))
    values = [OutlierVoxels()(names, extents), ScaleExtreme()(names, extents)] if names else []
    return [
        CopiesInBothHalves()(particles, exact, _close(particles, least), halves, least),
        NoWedge()(particles),
        SmallBox()(particles.box),
        *values,
    ]


def _close(particles: ParticleSet, least_distance: float) -> Pairs:
    """Pairs too close in a tomogram; none where the list names no tomograms, as then places cannot be compared."""
    if particles.places is None or particles.tomograms is None:
        return []
    return close_positions(particles.places, particles.tomograms, least_distance)
