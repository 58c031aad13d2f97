"""Rotational matching of amplitudes, blind to shifts, then translational matching of each rotation found.

The seeds of Xu, Beck & Alber (J. Struct. Biol. 178, 152, 2012) and of Chen et al. (Ultramicroscopy 135, 27, 2013). The
amplitude of a transform does not change when a particle is shifted, so that all rotations can be tried with no shift at
all; the phases, and most of what a particle says, are given up for it.

Amplitudes are the transform of a volume without phases: matching those volumes by
`torchsag.search.rotational_matching` is power-spectrum matching, wedge and normaliser included. Each shell's mean
amplitude is taken off first, which the original programs do not: noise alone has a mean amplitude, and correlating it
with the reference's favours rotations by the shape of the wedge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_shells, to_half_spectrum
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.reference import as_model, radius_of_gyration
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.search.candidates import Candidates, Limits
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.search.translational_matching import TranslationalMatching
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


@dataclass(frozen=True)
class PowerSpectrumMatching:
    """Search all rotations by amplitudes alone, then all shifts for each rotation found.

    Attributes
    ----------
    degree
        Band limit l; steps are ``180 / (l + 1)`` degrees.
    max_shell
        Largest Fourier shell used; ``None`` takes what the degree can resolve at the reference's radius, or half of
        all shells if that is less: memory grows with its cube.
    max_shift
        Radius of the ball of shifts, as a fraction of the box.
    num_candidates
        Poses handed on.
    separation_deg
        Smallest angle between two candidates, modulo symmetry; degrees.
    """

    degree: int = 36
    max_shell: int | None = None
    max_shift: float = 0.25
    num_candidates: int = 12
    separation_deg: float = 12.0

    def __post_init__(self):
        if not 0 < self.max_shift <= 0.5:
            raise InputError(
                f"max_shift: expected a fraction of the box, above 0 and at most 0.5, got {self.max_shift}"
            )
        if self.max_shell is not None and self.max_shell < 2:
            raise InputError(f"max_shell: expected at least 2, got {self.max_shell}")
        self._rotational(None)

    def _rotational(self, max_shell: int | None) -> RotationalMatching:
        return RotationalMatching(self.degree, max_shell, 0.0, self.num_candidates, self.separation_deg)

    def prepare(
        self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu"
    ) -> PreparedPowerSpectrumMatching:
        """Build the tables of both searches."""
        return PreparedPowerSpectrumMatching(self, reference, symmetry, device)


class PreparedPowerSpectrumMatching:
    """See `PowerSpectrumMatching`."""

    def __init__(
        self, search: PowerSpectrumMatching, reference: DensityMap, symmetry: Symmetry, device: torch.device | str
    ):
        density = as_model(reference.density.float()).to(device)
        box = reference.box
        resolved = max(4, round(search.degree * box[0] / (2 * math.pi * radius_of_gyration(density))))
        max_shell = min(search.max_shell or min(resolved, box[0] // 4), box[0] // 2 - 1)
        everything = torch.ones(1, *to_half_spectrum(density).shape, device=density.device)
        amplitudes = _amplitudes(to_half_spectrum(density)[None], everything, box)[0]
        phaseless = DensityMap(from_half_spectrum(amplitudes, box), reference.voxel_size)
        self._rotational = search._rotational(max_shell).prepare(phaseless, symmetry, device)
        self._band = FourierBand.of(box[0], max_shell, device=density.device)
        self._translational = TranslationalMatching(
            FourierTable.from_density(density, max_shell), self._band, search.max_shift * box[0]
        )
        self._symmetry = symmetry

    def __call__(self, particles: ParticleBatch) -> Candidates:
        """Find starting poses for each particle, best constrained correlation first."""
        weights = particles.weights[particles.weight_index]
        amplitudes = replace(particles, spectra=_amplitudes(particles.spectra, weights, particles.box))
        seeds = self._rotational(amplitudes)
        count, each = seeds.scores.shape
        rotations = seeds.poses.flatten().rotations
        particle = torch.arange(count, device=rotations.device).repeat_interleave(each)
        observed: Observations = observe(particles, self._band)
        poses = self._translational(observed, rotations, particle)
        scores = self._translational.scores(observed, poses, particle).unflatten(0, (count, each))
        # A seed that only fills a row stays last.
        scores = torch.where(seeds.scores.isfinite(), scores, -math.inf)
        order = scores.argsort(dim=1, descending=True, stable=True)
        rows = (order + each * torch.arange(count, device=order.device)[:, None]).flatten()
        ordered = poses[rows].unflatten((count, each))
        centres = Poses.identity(count, device=rotations.device)
        # Sub-voxel shifts may end a little beyond the ball.
        reach = self._translational.max_shift + 1
        return Candidates(ordered, scores.gather(1, order), Limits(centres, math.pi + 1e-3, reach, self._symmetry))


def _amplitudes(
    spectra: Complex[Tensor, "particles z y kx"], weights: Float[Tensor, "particles z y kx"], box: tuple[int, int, int]
) -> Complex[Tensor, "particles z y kx"]:
    """Amplitudes less their mean over what was measured of each shell, zero elsewhere; as transforms."""
    shells = half_shells(box, spectra.device).flatten()
    measured = (weights > 0).flatten(1).to(spectra.real.dtype)
    amplitude = spectra.abs().flatten(1) * measured
    empty = amplitude.new_zeros(len(spectra), int(shells.max()) + 1)
    total, members = empty.index_add(1, shells, amplitude), empty.index_add(1, shells, measured)
    deviation = (amplitude - (total / members.clamp_min(1))[:, shells]) * measured
    return deviation.view(spectra.shape) + 0j
