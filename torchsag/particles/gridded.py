"""Particles as sums in Fourier space read them: transforms of volumes made ready for interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.axes import Box
from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.imaging.masks import spherical_mask
from torchsag.particles.batch import ParticleBatch
from torchsag.spectra.kaiser_bessel import compensate

# Particles transformed at a time: few, for memory. On the CPU one: MKL rounds the inverse transform of a single volume
# otherwise than that of several, and what is kept of a particle must not depend on which were read beside it.
_AT_ONCE = {"cpu": 1}
_AT_MOST = 16


@dataclass(frozen=True)
class GriddedParticles:
    """A few particles whose transforms may be interpolated with the Kaiser-Bessel window.

    Attributes
    ----------
    spectra
        Half-spectra of the compensated volumes (`torchsag.spectra.kaiser_bessel.compensate`).
    weights, weight_index, names, voxel_size, box
        As of `ParticleBatch`.
    """

    spectra: Complex[Tensor, "particles z y kx"]
    weights: Float[Tensor, "weights z y kx"]
    weight_index: Integer[Tensor, " particles"]
    names: tuple[str, ...]
    voxel_size: float
    box: Box

    @staticmethod
    def of(particles: ParticleBatch, sphere: bool = False) -> GriddedParticles:
        """The particles of a batch.

        Parameters
        ----------
        particles
            Any.
        sphere
            Whether nothing but the largest soft sphere in the box is kept. What lies outside comes back in on the other
            side when a particle is turned, and what lies near the box's faces is interpolated badly. Volumes that were
            assembled from images without loss are as noisy there as elsewhere.
        """
        within = spherical_mask(particles.box, device=particles.weights.device) if sphere else 1.0
        size = _AT_ONCE.get(particles.spectra.device.type, _AT_MOST)
        parts = [
            to_half_spectrum(compensate(from_half_spectrum(some, particles.box).float() * within))
            for some in particles.spectra.split(size)
            if len(some)
        ]
        spectra = torch.cat(parts) if parts else particles.spectra
        return GriddedParticles(
            spectra, particles.weights, particles.weight_index, particles.names, particles.voxel_size, particles.box
        )

    def __len__(self) -> int:
        return len(self.names)
