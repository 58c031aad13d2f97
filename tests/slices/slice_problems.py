"""A small map with detail in every direction, and particles of it in the library's form."""

import torch

from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.sampling import place, voxel_positions
from torchsag.imaging.wedge import missing_wedge
from torchsag.particles import DensityMap, ParticleBatch

VOXEL = 8.0


def blobs(box, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    positions, volume = voxel_positions(box, dtype=dtype), torch.zeros(box, dtype=dtype)
    for _ in range(14):
        centre = torch.randn(3, generator=generator, dtype=dtype) * min(box) / 9
        height = 0.5 + torch.rand(1, generator=generator, dtype=dtype)
        volume += height * torch.exp(-(positions - centre).square().sum(-1) / (2 * 1.7**2))
    return DensityMap(volume, VOXEL)


def true_poses(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    shifts = torch.randn(count, 3, generator=generator, dtype=dtype)
    return Poses(random_rotations(count, generator, dtype), shifts)


def wedges(box):
    return torch.stack([missing_wedge(box, -60.0, 60.0), missing_wedge(box, -70.0, 45.0)])


def transfer(box):
    """As of CTFs: depends on all three frequencies."""
    x, y, z = half_frequencies(box).unbind(-1)
    radius = torch.stack([x, y, z], -1).norm(dim=-1)
    return wedges(box) * (0.6 + 0.4 * torch.cos(15 * radius)) * (1 + 0.15 * torch.cos(12 * y))


def particles(reference, poses, weights, sigma=0.0, seed=5):
    box, dtype = reference.box, reference.density.dtype
    clean = place(CubicSpline(3).prepare(reference.density), poses, box)
    noise = sigma * torch.randn(len(poses), *box, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    index = torch.arange(len(poses)) % len(weights)
    spectra = to_half_spectrum(clean) * weights[index] + to_half_spectrum(noise) * (weights[index] > 0)
    names = tuple(f"particle {i}" for i in range(len(poses)))
    return ParticleBatch(spectra, weights, index, names, VOXEL, box)
