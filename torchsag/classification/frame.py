"""The frame in which particles are compared: that of their common average."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.classification.evidence import Prior, Views
from torchsag.classification.mates import symmetry_mates
from torchsag.classification.shared_turns import SharedTurns
from torchsag.fourier import from_half_spectrum, resample, to_half_spectrum
from torchsag.geometry import Poses, Symmetry
from torchsag.likelihood.noise_spectrum import residual_spectrum
from torchsag.likelihood.observations import observe
from torchsag.particles import DensityMap, GriddedParticles, ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.spectra.gather_tables import GatherTables

# Shells without signal get this part of the strongest shell's variance: nothing that could be fitted.
_FAINTEST = 1e-6
_AT_ONCE = 16  # particles turned at a time: bounds memory


@dataclass(frozen=True)
class CommonFrame:
    """A common average, and how particles look from it.

    Attributes
    ----------
    average
        The common average, filtered to what it is known to; it has the common symmetry.
    symmetry
        Of the class averages: a subgroup of the common symmetry.
    common_symmetry
        Of the common average. A particle may stand in any of the poses that it cannot tell apart.
    last_shell
        Outermost Fourier shell of the band.
    mask
        Where classes may differ, in the average's box; it should have the symmetry of the classes. None for anywhere.
    """

    average: DensityMap
    symmetry: Symmetry
    common_symmetry: Symmetry
    last_shell: int
    mask: Float[Tensor, "z y x"] | None = None

    @cached_property
    def band(self) -> FourierBand:
        """The coefficients compared."""
        return FourierBand.by_shell(self.average.box[0], self.last_shell, self.average.density.device)

    @cached_property
    def mates(self) -> Float[Tensor, "mates 3 3"]:
        """Rotations that the common average cannot tell apart and the classes can."""
        return symmetry_mates(self.symmetry, self.common_symmetry).to(self.average.density)

    @cached_property
    def common(self) -> Complex[Tensor, " coefficients"]:
        """The common average on the band, in the units of `torchsag.likelihood.observations`, under the mask."""
        return self._masked(self._unmasked)

    def prior(self, contrast: float) -> Prior:
        """Classes differ by this part of the power of the common average, shell by shell."""
        shells = self.band.shells - 1
        count = torch.bincount(shells)
        power = torch.zeros_like(count, dtype=torch.float32).index_add_(0, shells, self.common.abs().square()) / count
        variance = 0.5 * contrast * power.clamp_min(_FAINTEST * power.max())
        return Prior(self.independent / variance[shells], self.independent, self.symmetry.order)

    @cached_property
    def independent(self) -> float:
        """Part of the band's coefficients that are independent under the mask."""
        return 1.0 if self.mask is None else float(self.mask.square().mean())

    def views(self, particles: ParticleBatch, poses: Poses) -> Views:
        """Particles at their candidate poses ``[particles, candidates]`` and at all mates of each.

        Candidate c at mate m is view ``c * mates + m``.
        """
        noise = self._noise(particles, poses[:, 0])
        gridded = GriddedParticles.of(particles)
        parts = []
        for start in range(0, len(particles), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            tables = GatherTables.of(
                gridded.spectra[rows], gridded.weights, gridded.weight_index[rows], self.last_shell
            )
            for candidate in range(poses.shifts.shape[1]):
                value, weight = tables.at(poses[rows, candidate], self._points)
                parts.append(self._seen(value, weight, noise[rows]))
        candidates = poses.shifts.shape[1]
        chunks = [parts[i : i + candidates] for i in range(0, len(parts), candidates)]
        names = ("data", "weights", "power", "common")
        return Views(*(torch.cat([torch.cat([getattr(p, n) for p in chunk], 1) for chunk in chunks]) for n in names))

    def map_of(self, difference: Complex[Tensor, "classes coefficients"]) -> Float[Tensor, "classes z y x"]:
        """Common average plus differences, in real space."""
        voxels = self.average.box[0] ** 3
        spectrum = self.band.put((self.common + difference) * (voxels / 2) ** 0.5)
        return from_half_spectrum(spectrum, self.average.box)

    @cached_property
    def _turns(self) -> SharedTurns:
        """What serves several of the rotations: under turns that mask and average do not tell apart."""
        mask = None if self.mask is None else self._small_mask
        return SharedTurns.under(self.common_symmetry, self.symmetry, self.mates, self.band, self._unmasked, mask)

    @cached_property
    def _points(self) -> Float[Tensor, "points 3"]:
        """The band turned by every rotation that is looked at."""
        frequencies = self.band.frequencies.to(self._turns.rotations)
        return torch.einsum("rij,qj->rqi", self._turns.rotations, frequencies).reshape(-1, 3).contiguous()

    def _seen(self, value: Tensor, weight: Tensor, noise: Float[Tensor, "particles coefficients"]) -> Views:
        """One candidate pose of some particles, at all mates."""
        shape = (-1, len(self.band))
        scale = noise.rsqrt()[:, None]
        weight = weight.unflatten(1, shape) * scale
        value = value.unflatten(1, shape) * ((2 / self.average.box[0] ** 3) ** 0.5 * scale)
        seen, average = self._masked(value), self._masked(self._unmasked * weight)
        data = self._turns.summed(weight * (seen - average))
        squares = weight.square()
        power = torch.where(weight > 0, seen.abs().square(), 0).sum(2)
        gain = weight * (self.common.conj() * seen).real - 0.5 * squares * self.common.abs().square()
        common = self._turns.totals(gain.sum(2)) / self.symmetry.order
        return Views(data, self._turns.summed(squares), self._turns.totals(power), common)

    @cached_property
    def _unmasked(self) -> Complex[Tensor, " coefficients"]:
        voxels = self.average.box[0] ** 3
        return self.band.take(to_half_spectrum(self.average.density.float())) * (2 / voxels) ** 0.5

    def _noise(self, particles: ParticleBatch, poses: Poses) -> Float[Tensor, "particles coefficients"]:
        """Noise variance at each coefficient: what the common average leaves over in the whole box."""
        observed = observe(particles, self.band)
        everyone = torch.arange(len(particles), device=poses.shifts.device)
        return residual_spectrum(observed, self.band, self._table, poses, everyone)[:, self.band.shells - 1]

    @cached_property
    def _table(self) -> FourierTable:
        return FourierTable.from_density(self.average.density.float(), self.last_shell)

    @cached_property
    def _small_band(self) -> FourierBand:
        """The same coefficients in the smallest convenient box that holds them."""
        edge = min(self.average.box[0], 2 * (self.last_shell + 1 + self.last_shell % 2))
        return FourierBand.by_shell(edge, self.last_shell, self.average.density.device)

    @cached_property
    def _small_mask(self) -> Tensor:
        assert self.mask is not None
        edge = self._small_band.box
        return resample(self.mask.float(), (edge, edge, edge)).clamp(0, 1)

    def _masked(self, values: Complex[Tensor, "*batch coefficients"]) -> Complex[Tensor, "*batch coefficients"]:
        if self.mask is None:
            return values
        edge = self._small_band.box
        volumes = from_half_spectrum(self._small_band.put(values), (edge, edge, edge))
        return self._small_band.take(to_half_spectrum(volumes * self._small_mask))
