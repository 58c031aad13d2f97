"""Particles and a reference made comparable part by part: all that does not depend on poses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.geometry.precision import exact_product
from torchsag.imaging.interpolation import Interpolant, Interpolation
from torchsag.imaging.masks import spherical_mask
from torchsag.losses.constrained import masked_deviation
from torchsag.losses.loss import Loss, require_additive
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.slices.band_limit import BandLimit
from torchsag.slices.partition import Partition, Split


@dataclass(frozen=True)
class Matching:
    """What a real-space objective needs besides poses.

    Positions and gradients are in voxels of the particles as given, however coarse the grid.

    Attributes
    ----------
    loss
        The loss of a part.
    split
        The parts.
    terms
        Which parts of the split the mask reaches: the terms of the sum.
    positions
        Voxel positions ``(x, y, z)`` relative to the box centre, for each term.
    mask
        M on each term.
    observed
        The filtered particles, mean zero and unit variance under the mask.
    weight_index
        Each particle's weight.
    references
        The reference, filtered for each distinct weight, as a function of position.
    scale
        Coarse voxels per voxel.
    independent
        Part of each particle's voxels that are independent: what it measured within the band. Noise that fills only
        part of the transform is correlated between voxels, so that a voxel counts for less than one measurement.
    """

    loss: Loss
    split: Split
    terms: Integer[Tensor, " terms"]
    positions: Float[Tensor, "terms voxels 3"]
    mask: Float[Tensor, "terms voxels"]
    observed: Float[Tensor, "particles terms voxels"]
    weight_index: Integer[Tensor, " particles"]
    references: tuple[Interpolant, ...]
    scale: float
    independent: Float[Tensor, " particles"]

    @property
    def num_terms(self) -> int:
        """Number of terms."""
        return self.mask.shape[0]

    def sources(
        self,
        rotations: Float[Tensor, " problems #b 3 3"],
        shifts: Float[Tensor, " problems #b 3"],
        terms: Integer[Tensor, " b"],
    ) -> Float[Tensor, "problems b voxels 3"]:
        """Where in the reference each voxel of some terms comes from, ``R^T (r - t)``; differentiable."""
        return exact_product(self.positions[terms] - shifts[:, :, None], rotations)

    def sample(
        self, sources: Float[Tensor, "problems b voxels 3"], particle: Integer[Tensor, " problems"]
    ) -> Float[Tensor, "problems b voxels"]:
        """The reference at `sources`, differentiable; not yet filtered inside the parts."""
        values = sources.new_zeros(sources.shape[:-1])
        for index, chosen in self._by_weight(particle):
            values = values.index_copy(0, chosen, self.references[index](sources[chosen] * self.scale))
        return values

    def sample_with_gradient(
        self, sources: Float[Tensor, "problems b voxels 3"], particle: Integer[Tensor, " problems"]
    ) -> tuple[Float[Tensor, "problems b voxels"], Float[Tensor, "problems b voxels 3"]]:
        """The reference and its gradient per voxel at `sources`."""
        values, gradients = torch.empty_like(sources[..., 0]), torch.empty_like(sources)
        for index, chosen in self._by_weight(particle):
            values[chosen], gradient = self.references[index].with_gradient(sources[chosen] * self.scale)
            gradients[chosen] = gradient * self.scale
        return values, gradients

    def filter(
        self, parts: Float[Tensor, "problems b *channels voxels"], particle: Integer[Tensor, " problems"]
    ) -> Float[Tensor, "problems b *channels voxels"]:
        """What remains of each particle's weight, inside each part."""
        return self.split.filter(parts, self.weight_index[particle])

    def _by_weight(self, particle: Tensor):
        """Each weight's index with the problems that have it."""
        weight = self.weight_index[particle]
        for index in weight.unique().tolist():
            yield index, (weight == index).nonzero()[:, 0]


def match_parts(
    particles: ParticleBatch,
    reference: DensityMap,
    loss: Loss,
    partition: Partition,
    interpolation: Interpolation,
    resolution_angstrom: float | None = None,
    mask_diameter_angstrom: float | None = None,
) -> Matching:
    """Band-limit, filter, mask and cut particles, and filter and tabulate the reference.

    Parameters
    ----------
    particles, reference
        In the same box and voxel size.
    loss, partition, interpolation
        The components.
    resolution_angstrom
        Detail finer than this is left out of both; None uses all.
    mask_diameter_angstrom
        Diameter of the soft spherical mask about the box centre; None takes the largest sphere in the box.

    Raises
    ------
    InputError
        If the boxes differ, or the loss is no sum and the partition has several terms.
    """
    if particles.box != reference.box:
        raise InputError(
            f"reference: expected the particles' box {particles.box}, got {reference.box}; crop or pad the reference"
        )
    band = BandLimit.of(particles.box, particles.voxel_size, resolution_angstrom)
    split = partition.split(band.limit_weights(particles.weights), band.weight(particles.volumes.device), band.box)
    if split.num_terms > 1:
        require_additive(loss, type(partition).__name__)
    mask = split.cut(_mask(band, particles, mask_diameter_angstrom))
    terms = (mask > 0).any(-1).nonzero()[:, 0]
    observed = split.cut(_observe(particles, band, split))[:, terms]
    return Matching(
        loss=loss,
        split=split,
        terms=terms,
        positions=split.positions[terms].to(observed) / band.scale,
        mask=mask[terms].to(observed),
        observed=_standardise(observed, mask[terms].to(observed)),
        weight_index=particles.weight_index,
        references=_tabulate(reference, band, split, interpolation),
        scale=band.scale,
        independent=_independent(split)[particles.weight_index].to(observed),
    )


def _mask(band: BandLimit, particles: ParticleBatch, diameter_angstrom: float | None) -> Tensor:
    radius = None
    if diameter_angstrom is not None:
        radius = diameter_angstrom / 2 / particles.voxel_size * band.scale
    return spherical_mask(band.box, radius, edge=4.0 * band.scale, device=particles.volumes.device)


def _observe(particles: ParticleBatch, band: BandLimit, split: Split) -> Tensor:
    spectra = band.limit_spectra(particles.spectra)
    return band.volumes(spectra * split.particle_weights[particles.weight_index])


def _standardise(observed: Tensor, mask: Tensor) -> Tensor:
    """Mean zero and unit variance under the mask."""
    flat, under = observed.flatten(1), mask.flatten()
    mean = (under * flat).sum(1) / under.sum()
    variance = masked_deviation(flat, under).square().sum(1) / under.square().sum()
    scale = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
    return (observed - mean[:, None, None]) / scale[:, None, None]


def _tabulate(
    reference: DensityMap, band: BandLimit, split: Split, interpolation: Interpolation
) -> tuple[Interpolant, ...]:
    spectrum = band.limit_spectra(to_half_spectrum(reference.density))
    return tuple(
        interpolation.prepare(from_half_spectrum(spectrum * weight, band.box)) for weight in split.reference_weights
    )


def _independent(split: Split) -> Tensor:
    """Effective number of independent voxels over all voxels, ``(sum w)^2 / sum w^2`` of the noise power w = gain^2."""
    power = split.particle_weights.square().flatten(1)
    return power.sum(1).square() / power.square().sum(1).clamp_min(1e-30) / power.shape[1]
