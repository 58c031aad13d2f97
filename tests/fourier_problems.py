"""Particles of Gaussian blobs with gaps in their weights: what the tests of Fourier-space scores share."""

import torch
from blobs import Blobs

from torchsag.fourier import half_frequencies, phase_ramp
from torchsag.geometry import Poses, random_rotations
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import ParticleBatch
from torchsag.spectra.fourier_band import FourierBand


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def some_poses(count, seed=0, dtype=torch.float64):
    shifts = 3 * torch.rand(count, 3, generator=generator(seed + 1), dtype=dtype) - 1.5
    return Poses(random_rotations(count, generator(seed), dtype), shifts)


def some_weights(count, box, dtype=torch.float64, seed=0):
    """Smooth and positive but for a wedge about y, wider from weight to weight."""
    k = half_frequencies((box, box, box), dtype=dtype)
    strength = 0.5 + torch.rand(count, 1, 1, 1, generator=generator(seed), dtype=dtype)
    opening = 0.4 + 0.2 * torch.arange(count, dtype=dtype)[:, None, None, None]
    measured = k[..., 2].abs() <= k[..., 0].abs() / opening
    return measured * strength * (1 + k[..., 1].square())


def white_batch(count, box, num_weights=1, noise=1.0, blobs: Blobs | None = None, poses=None, seed=0, spectrum=None):
    """Canonical particles, float64: the blobs at given poses times W, noise where W > 0."""
    weights = some_weights(num_weights, box)
    index = torch.arange(count) % num_weights
    volumes = torch.randn(count, box, box, box, generator=generator(seed), dtype=torch.float64)
    batch = ParticleBatch.from_volumes(noise * volumes, weights, index, tuple(f"p{i}" for i in range(count)), 1.0)
    spectra = batch.spectra if spectrum is None else batch.spectra * spectrum
    if blobs is not None:
        k = half_frequencies((box, box, box), dtype=torch.float64)
        placed = torch.stack([blobs.transform(box * k @ r)[0] * phase_ramp(k, t) for r, t in zip(*poses, strict=True)])
        spectra = spectra + placed * weights[index]
    spectra = spectra * (weights[index] > 0)
    return ParticleBatch(spectra, weights, index, batch.names, 1.0, batch.box)


def as_pairs(poses: Poses):
    return poses.rotations, poses.shifts


def single(observed: Observations) -> Observations:
    return Observations(
        observed.data.to(torch.complex64),
        observed.weights.float(),
        observed.weight_index,
        observed.power.float(),
        observed.support.float(),
    )


def noisy(blobs: Blobs, count: int, band: FourierBand, num_weights=1, noise=1.0, seed=0):
    """Observations of particles, and their true poses."""
    poses = some_poses(count, seed)
    batch = white_batch(count, blobs.box, num_weights, noise, blobs, as_pairs(poses), seed)
    return observe(batch, band), poses
