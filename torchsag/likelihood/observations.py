"""What a band of Fourier coefficients of some particles says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.fourier import squared_size
from torchsag.particles import ParticleBatch
from torchsag.spectra.fourier_band import FourierBand


@dataclass(frozen=True)
class Observations:
    """Sufficient statistics of ``Y = W G + white noise``: the least-squares distance to any model needs no more.

    Scaled so that noise of unit variance per voxel has unit variance in the real and in the imaginary part of Y; the
    model's amplitude, always a free parameter, takes up the same factor.

    Attributes
    ----------
    data
        ``W Y``, per particle.
    weights
        The distinct ``W^2``.
    weight_index
        Which of `weights` each particle has.
    power
        ``sum |Y|^2`` over each block of the band.
    support
        Number of coefficients with ``W > 0``, per particle.
    maps
        Which of a table's maps each particle is an image of; None for the only one.
    """

    data: Complex[Tensor, "particles coefficients"]
    weights: Float[Tensor, "weights coefficients"]
    weight_index: Integer[Tensor, " particles"]
    power: Float[Tensor, "particles blocks"]
    support: Float[Tensor, " particles"]
    maps: Integer[Tensor, " particles"] | None = None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> Observations:
        """Some of the particles; the distinct weights are kept whole unless each particle has its own."""
        own = len(self.weights) == len(self.data)
        return Observations(
            self.data[rows],
            self.weights[self.weight_index[rows]] if own else self.weights,
            torch.arange(len(rows), device=self.weight_index.device) if own else self.weight_index[rows],
            self.power[rows],
            self.support[rows],
            None if self.maps is None else self.maps[rows],
        )


def observe(particles: ParticleBatch, band: FourierBand) -> Observations:
    """Gather a band's coefficients from particles of the same (cubic) box."""
    weight = band.take(particles.weights)
    voxels = particles.box[0] ** 3
    observed = band.take(particles.spectra) * (2 / voxels) ** 0.5
    observed = torch.where(weight[particles.weight_index] > 0, observed, 0)
    power = observed.real.new_zeros(len(particles), band.num_blocks)
    power.index_add_(1, band.blocks, squared_size(observed))
    return Observations(
        data=observed * weight[particles.weight_index],
        weights=weight.square(),
        weight_index=particles.weight_index,
        power=power,
        support=(weight > 0).sum(-1)[particles.weight_index].to(weight.dtype),
    )
