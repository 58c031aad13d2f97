"""Particles of which only the noise is left: what any procedure must make nothing of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import half_shells, shell_sums, to_half_spectrum
from torchsag.particles.batch import ParticleBatch
from torchsag.particles.gridded import GriddedParticles
from torchsag.particles.particle_set import ParticleSet


@dataclass(frozen=True)
class PureNoise(ParticleSet):
    """A particle set whose volumes become Gaussian noise as they are read.

    Each keeps its weight, its prior pose and, in every Fourier shell, its power, signal and noise together.

    Attributes
    ----------
    noise_seed
        The noise follows from it and from the particle's name.
    """

    noise_seed: int = 0

    @staticmethod
    def like(particles: ParticleSet, seed: int) -> PureNoise:
        """Noise in place of these particles."""
        columns = {field.name: getattr(particles, field.name) for field in fields(particles) if field.init}
        return PureNoise(**{**columns, "noise_seed": seed})

    def load(self, indices: Sequence[int], device: torch.device | str = "cpu") -> ParticleBatch:
        """As of the particles themselves, faults included."""
        batch = super().load(indices, device)
        measured = (batch.weights > 0).to(batch.weights)
        spectra = [
            self._noise(name, spectrum, measured[weight])
            for name, spectrum, weight in zip(batch.names, batch.spectra, batch.weight_index, strict=True)
        ]
        return replace(batch, spectra=torch.stack(spectra)) if spectra else batch

    def load_gridded(self, indices: Sequence[int], device: torch.device | str = "cpu") -> GriddedParticles:
        """Of the noise: what is kept of particles is kept of them."""
        return GriddedParticles.of(self.load(indices, device), self.assembles)

    def _noise(self, name: str, spectrum: Tensor, measured: Float[Tensor, "z y kx"]) -> Tensor:
        digest = hashlib.sha256(f"{self.noise_seed}|{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        white = to_half_spectrum(torch.randn(self.box, generator=generator)).to(spectrum) * measured
        power = shell_sums(spectrum.abs().square(), self.box)
        ratio = (power / shell_sums(white.abs().square(), self.box).clamp_min(1e-30)).sqrt()
        shells = half_shells(self.box, device=spectrum.device).clamp_max(len(ratio) - 1)
        return white * ratio[shells]
