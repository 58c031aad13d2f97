"""Noise that is not white within each Fourier shell, as the likelihood takes it: told by what particles leave over.

Two things can differ. Its *power* may vary within a shell: volumes that were divided by their CTF or averaged over tilt
images have hardly any noise beside the images and that of few images far from the tilt axis. And neighbouring
coefficients may *share* noise, which in real space means that there is more of it where the particle is than elsewhere
in the box; coefficients then say the same more than once, and uncertainties come out too small.

The first is the mean power of residuals over particles, smoothed; what is noisier than its shell is damped by it. The
second needs no model: at a pose where the particle does not lie, the gradient g of the log-likelihood is nothing but
noise. Its covariance is the Fisher matrix F where coefficients are independent, so ``g^T F^-1 g / 6`` averages to one,
otherwise to the factor by which variances are too small (the middle of the sandwich of Huber, 1967). What was fitted to
each particle took noise along, more of it the more alike the structure looks from all sides; so the average is compared
with that of twins of the particles whose noise is white, fitted in the same way.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import Box, HalfWeights
from torchsag.fourier import from_half_spectrum, half_shells, to_half_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.placement import place_spectrum
from torchsag.likelihood.fisher import fisher_information, log_likelihood_gradient, pose_covariance
from torchsag.likelihood.fourier_blocks import BlockSums, block_sums, total_sums
from torchsag.likelihood.noise_spectrum import residual_spectrum, whitened
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.spectra.gridding import ContinuousSpectrum

_log = logging.getLogger(__name__)

_FEWEST = 8  # particles whose mean says anything of a coefficient
_UNEVEN = 0.04  # variance of the power within a shell, relative: below it whitening would gain 2 % in error
_LEAST, _MOST = 1e-3, 1e3  # of the shell's mean
_ELSEWHERE = 32  # poses for each particle at which there is only noise
_SPREAD = 0.7  # voxels
_ENOUGH = 4096  # coefficients, for the Fisher matrix: its error of some 3 % goes into the mean squared
_CHANCE, _MATTERS = 2.0, 0.05  # squared standard errors; part of the variance


@dataclass(frozen=True, eq=False)
class NoiseShape:
    """How the noise of particles differs from noise that is white within each Fourier shell.

    Attributes
    ----------
    power
        By what the noise is stronger than the shell's mean, at least one; None where it is even.
    excess
        By how much the variance of what the likelihood says exceeds that of independent coefficients.
    """

    power: HalfWeights | None = None
    excess: float = 1.0

    def whitened(self, particles: ParticleBatch) -> ParticleBatch:
        """The particles with noise of even power within each shell."""
        if self.power is None:
            return particles
        factor = self.power.to(particles.weights).rsqrt()
        return replace(particles, spectra=particles.spectra * factor, weights=particles.weights * factor)


def noise_shape(
    particles: ParticleBatch,
    density: Float[Tensor, "z y x"],
    table: FourierTable,
    poses: Poses,
    independent: float = 1.0,
) -> NoiseShape:
    """What particles at their poses leave over says of their noise.

    Parameters
    ----------
    particles
        Images of the reference, as they are aligned.
    density
        The reference.
    table
        The reference's transform out to the last shell that is looked at.
    poses
        What an alignment found.
    independent
        What part of the coefficients is known to be independent, in masked particles.
    """
    if len(particles) < _FEWEST:
        return NoiseShape()
    model = Model(
        density.to(particles.weights), table, FourierBand.by_shell(table.box, table.max_shell, poses.shifts.device)
    )
    left = residuals(particles, model, poses)
    strength = model.by_coefficient(model.spectrum(particles, poses).rsqrt(), particles.box)
    # Each counts alike, whatever else lies in its box.
    power = relative_power(replace(left, spectra=left.spectra * strength), table.max_shell)
    # Less noise than the shell has is an echo of neighbours, not a better measurement: it is not scaled up.
    shape = NoiseShape(None if power is None else power.clamp_min(1))
    even = shape.whitened(particles)
    poses = _fitted(even, model, poses)
    mean, error = _gradients_in_noise(even, model, poses)
    twins = _white_twins(even, model, poses)
    white, white_error = _gradients_in_noise(twins, model, _fitted(twins, model, poses))
    ratio = independent * mean / white
    error = ratio * math.hypot(error / mean, white_error / white)
    _log.debug("gradients in the noise: %.3f (standard error %.3f) times those in white noise", ratio, error)
    return replace(shape, excess=believed(ratio, error))


def believed(ratio: float, error: float) -> float:
    """A ratio moved towards one by what its standard error may have added; one where little is left of it.

    The positive part of James and Stein's estimate, as for a reference's amplitude. What is believed only beyond three
    standard errors is too often not believed: a fifth more variance than thought is as much as 24 particles can tell.
    """
    squared = ((ratio - 1) / error) ** 2
    moved = 1 + (ratio - 1) * max(0.0, 1 - _CHANCE / max(squared, 1e-30))
    return moved if abs(moved - 1) > _MATTERS else 1.0


@dataclass(frozen=True, eq=False)
class Model:
    """The reference, its transform out to the last shell that is looked at, and that band shell by shell."""

    density: Float[Tensor, "z y x"]
    table: FourierTable
    band: FourierBand

    def sums(self, observed: Observations, poses: Poses) -> BlockSums:
        """Of each particle at its pose, shell by shell."""
        everyone = torch.arange(len(observed), device=self.band.blocks.device)
        terms = torch.arange(self.band.num_blocks, device=everyone.device)
        return block_sums(self.table, self.band, observed, poses, everyone, terms)

    def spectrum(self, particles: ParticleBatch, poses: Poses) -> Float[Tensor, "particles shells"]:
        """Variance of the noise of each particle by shell."""
        everyone = torch.arange(len(particles), device=self.band.blocks.device)
        return residual_spectrum(observe(particles, self.band), self.band, self.table, poses, everyone)

    def placed(self, poses: Poses) -> Complex[Tensor, "particles z y kx"]:
        """Its half-spectrum at each pose, out to the last shell that is looked at."""
        box = self._continuous.box
        wanted = half_shells(box, device=poses.shifts.device) <= self.table.max_shell
        return place_spectrum(self._continuous, poses, wanted)

    @cached_property
    def _continuous(self) -> ContinuousSpectrum:
        return ContinuousSpectrum.of(self.density)

    def by_coefficient(self, curve: Float[Tensor, "particles shells"], box: Box) -> Float[Tensor, "particles z y kx"]:
        """A value for each shell 1 .. K spread over the half-spectrum; shell 0 as shell 1, nothing beyond the last."""
        whole = torch.cat([curve[:, :1], curve, torch.zeros_like(curve[:, :1])], 1)
        return whole[:, half_shells(box, device=curve.device).clamp_max(self.table.max_shell + 1)]


def residuals(particles: ParticleBatch, model: Model, poses: Poses) -> ParticleBatch:
    """The particles less the reference at their poses, as strong as each shows it on each shell."""
    return replace(particles, spectra=particles.spectra - _seen(particles, model, poses))


def _seen(particles: ParticleBatch, model: Model, poses: Poses) -> Complex[Tensor, "particles z y kx"]:
    sums = model.sums(observe(particles, model.band), poses)
    amplitude = sums.cross.clamp_min(0) / sums.energy.clamp_min(torch.finfo(sums.energy.dtype).tiny)
    scale = (particles.box[0] ** 3 / 2) ** 0.5  # of `Observations`
    placed = model.placed(poses.to(dtype=particles.weights.dtype))
    weights = particles.weights[particles.weight_index]
    return scale * model.by_coefficient(amplitude, particles.box) * weights * placed


def _white_twins(particles: ParticleBatch, model: Model, poses: Poses) -> ParticleBatch:
    """The same reference at the same poses, as strong, in noise of the same spectra that is white within each shell."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(len(particles), *particles.box, generator=generator).to(particles.weights)
    strength = model.by_coefficient(model.spectrum(particles, poses).sqrt(), particles.box)
    measured = (particles.weights > 0)[particles.weight_index]
    return replace(particles, spectra=_seen(particles, model, poses) + to_half_spectrum(noise) * strength * measured)


def _fitted(particles: ParticleBatch, model: Model, poses: Poses) -> Poses:
    """Poses after a step to the optimum, which is close."""
    observed = whitened(observe(particles, model.band), model.band, model.spectrum(particles, poses))
    sums = model.sums(observed, poses)
    one = torch.ones_like(poses.shifts[:, 0])
    covariance = pose_covariance(sums, sums.total().amplitude[:, 0], one)
    step = torch.einsum("pij,pj->pi", covariance, log_likelihood_gradient(sums, one))
    return poses.retract(step.nan_to_num(0).to(poses.shifts))


def relative_power(noise: ParticleBatch, last_shell: int) -> HalfWeights | None:
    """Power of each coefficient relative to its shell, smoothed over neighbours; None where it is even.

    Coefficients that few particles measured are taken as even.
    """
    measured = (noise.weights > 0).to(noise.weights)[noise.weight_index]
    squares = noise.spectra.abs().square() * measured
    sums, count = (_smooth(part.sum(0), noise.box).clamp_min(0) for part in (squares, measured))
    known = (measured.sum(0) >= 0.5 * len(noise)) & (count > 0.5)
    mean = sums / count.clamp_min(0.5)
    shells = half_shells(noise.box, device=mean.device)
    known &= (shells > 0) & (shells <= last_shell)
    if not bool(known.any()):
        return None
    each = torch.bincount(shells[known], minlength=int(shells.max()) + 1).to(mean)
    by_shell = torch.zeros_like(each).index_add_(0, shells[known], mean[known]) / each.clamp_min(1)
    relative = mean / by_shell[shells].clamp_min(torch.finfo(mean.dtype).tiny)
    # Each mean is that of some 27 exponentially distributed squares a particle.
    chance = 1 / (27 * len(noise))
    uneven = float((relative[known] - 1).square().mean()) - chance
    if uneven < _UNEVEN:
        return None
    return torch.where(known, relative.clamp(_LEAST, _MOST), 1.0)


def _smooth(values: Float[Tensor, "z y kx"], box: Box) -> Float[Tensor, "z y kx"]:
    """Mean of each coefficient and its neighbours, three along each axis."""
    spread = from_half_spectrum(values.to(torch.complex64), box)
    for axis, n in enumerate(box):
        place = (torch.arange(n, device=values.device) - n // 2) * (2 * torch.pi / n)
        window = (1 + 2 * place.cos()) / 3
        spread = spread * window.reshape([-1 if k == axis else 1 for k in range(3)])
    return to_half_spectrum(spread).real


def _parts_of(band: FourierBand) -> int:
    """Into how many blocks a band is divided for one to hold enough coefficients."""
    return max(1, len(band) // _ENOUGH)


def _gradients_in_noise(particles: ParticleBatch, model: Model, poses: Poses) -> tuple[float, float]:
    """Mean of ``g^T F^-1 g / 6`` at poses where the particles do not lie, and its standard error."""
    left, spectrum = residuals(particles, model, poses), model.spectrum(particles, poses)
    generator = torch.Generator().manual_seed(0)
    each = torch.arange(len(left)).repeat_interleave(_ELSEWHERE).to(model.band.blocks)
    aside = _SPREAD * torch.randn(len(each), 3, generator=generator)
    turned = random_rotations(len(each), generator).to(poses.rotations)
    elsewhere = Poses(turned, poses.shifts[each] + aside.to(poses.shifts))
    one = torch.ones_like(elsewhere.shifts[:, 0])
    # Of the likelihood's gradient and information the amplitude is left out, which noise makes small.
    noise = whitened(observe(left, model.band), model.band, spectrum)
    terms = torch.arange(model.band.num_blocks, device=each.device)
    sums = total_sums(model.table, model.band, noise, elsewhere, each, terms, order=1)
    gradient = (sums.cross_gradient - sums.amplitude[..., None] * sums.energy_gradient)[:, 0].double()
    # Neighbours matter to the gradient alone: of the information some of the coefficients tell as much as all.
    some = FourierBand.of(model.band.box, model.band.max_shell, _parts_of(model.band), each.device)
    part = whitened(observe(left, some), some, spectrum)
    sums = total_sums(model.table, some, part, elsewhere, each, torch.zeros(1, dtype=torch.long, device=each.device))
    share = float(some.starts[1]) / len(some)
    factor, failed = torch.linalg.cholesky_ex(fisher_information(sums, one, one).double() / share)
    length = torch.linalg.solve_triangular(factor, gradient[..., None], upper=False).square().sum((1, 2)) / 6
    usable = (failed == 0) & length.isfinite()
    if not bool(usable.any()):
        return 1.0, math.inf
    total, count = (
        torch.where(usable, part, 0).unflatten(0, (-1, _ELSEWHERE)).sum(1) for part in (length, torch.ones_like(length))
    )
    means = (total / count)[count > 0]
    return float(means.mean()), float(means.std() / len(means) ** 0.5) if len(means) > 1 else math.inf
