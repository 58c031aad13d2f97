"""Central slices for a report, kept beside the results so that the page can be made again without the inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import from_half_spectrum, half_frequencies
from torchsag.geometry import Poses
from torchsag.imaging.placement import place_spectrum
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet
from torchsag.spectra.gridding import ContinuousSpectrum

# Particles are mostly noise: they are shown through a Gaussian that halves amplitudes at this frequency.
_HALF_AMPLITUDE_CYCLES_PER_VOXEL = 0.08
_PARTICLES = 6


def orthogonal_slices(volume: Float[Tensor, "z y x"]) -> np.ndarray:
    """The central slices across z, y and x, side by side in one array ``[3, n, n]``, padded to the longest axis."""
    z, y, x = volume.shape
    slices = [volume[z // 2], volume[:, y // 2], volume[:, :, x // 2]]
    longest = max(z, y, x)
    stacked = torch.zeros(3, longest, longest)
    for canvas, image in zip(stacked, slices, strict=True):
        rows, columns = image.shape
        top, left = (longest - rows) // 2, (longest - columns) // 2
        canvas[top : top + rows, left : left + columns] = image
    return stacked.numpy()


def particle_slices(particles: ParticleBatch, poses: Poses, reference: DensityMap) -> tuple[np.ndarray, np.ndarray]:
    """Central z slices of particles, low-passed, and of the reference at their poses seen through their weights."""
    box = particles.box
    frequency = half_frequencies(box).norm(dim=-1)
    low_pass = torch.exp(-np.log(2) * (frequency / _HALF_AMPLITUDE_CYCLES_PER_VOXEL) ** 2)
    shown = from_half_spectrum(particles.spectra * low_pass, box)
    placed = place_spectrum(ContinuousSpectrum.of(reference.density.float()), poses.to(torch.float32))
    expected = from_half_spectrum(placed * particles.weights[particles.weight_index] * low_pass, box)
    middle = box[0] // 2
    return shown[:, middle].numpy(), expected[:, middle].numpy()


def save_alignment_slices(
    path: Path, particles: ParticleSet, poses: Poses, reference: DensityMap, average: DensityMap
) -> None:
    """Keep what an alignment's report shows: reference, average and a few particles spread over the set."""
    rows = sorted({round(i * (len(particles) - 1) / max(1, _PARTICLES - 1)) for i in range(_PARTICLES)})
    shown, expected = particle_slices(particles.load(rows), poses[torch.tensor(rows)], reference)
    np.savez_compressed(
        path,
        reference=orthogonal_slices(reference.density),
        average=orthogonal_slices(average.density),
        particles=shown,
        expected=expected,
        names=np.array([particles.names[row] for row in rows]),
    )
