"""Rotational matching, then coarse-to-fine refinement by SAG with curvature: the default method.

1. *Search.* Every rotation and a ball of shifts at low resolution (`torchsag.search.rotational_matching`), or turns
   around prior poses (`torchsag.search.local_grid`). A particle leaves with a handful of candidates.
2. *Refine, coarse to fine.* All candidates of all particles move at once towards the optimum of the least-squares
   distance over a Fourier band (`torchsag.likelihood.fourier_objective`), by SAG with curvature memory
   (`torchsag.optim.CurvatureSAG`). After each band, candidates that became the same or that the data speak against are
   dropped; the next band is wider. The last one holds a given part of the reference's pose information, no more.
3. *Judge.* The sums of the last band give the correlation, the noise level and the probability that another remaining
   candidate is the true one. The uncertainty is that of the Gaussian nearest to the posterior around the best candidate
   (`torchsag.likelihood.posterior`).

Before all that, a few particles are aligned to learn how strong the reference is on each shell against what they show
(`torchsag.likelihood.reference_amplitude`): low-passed and sharpened maps, noisy averages, maps from other microscopes.
What does not stand out from the reference's background is left out unless they show it
(`torchsag.likelihood.reference_strength`). The bands follow from the information that is left.

Limits: the noise of a particle depends on the shell alone where its weight is above zero; the covariance is that of the
surroundings of one optimum, under a reference whose errors are no larger than the particle's noise.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult, PreparedAligner
from torchsag.alignment.coarse_to_fine import CoarseToFine
from torchsag.alignment.given import checked_batch, checked_reference
from torchsag.alignment.joint_curvature_sag import JointCurvatureSAG
from torchsag.alignment.learnt import Learnt
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.precision import exact
from torchsag.imaging.masks import spherical_mask
from torchsag.imaging.reference import as_model, radius_of_gyration
from torchsag.likelihood.information import information_lost, information_moved, shell_of_information
from torchsag.likelihood.levels import Level
from torchsag.likelihood.noise_shape import NoiseShape, noise_shape
from torchsag.likelihood.reference_amplitude import fit_by_shell, weighted_by_amplitude
from torchsag.likelihood.reference_strength import ReferenceStrength, standing_out, strength_of
from torchsag.optim import CurvatureSAG
from torchsag.particles import DensityMap, ParticleBatch, of_unit_size
from torchsag.search.candidates import Search
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.timing import stage

_log = logging.getLogger(__name__)

_CALIBRATIONS = 3  # at most
_SAME_INFORMATION = 0.03
_ALL_OF_IT = 0.05  # of the pose information
# With exact references at SNR 0.1 to 0.003 the difference was at most 0.03, with others at least 0.16.
_AT_ITS_WORD = 0.06
_LEFT_OUT = 0.5  # surroundings of less than this strength, in the mean of shells, count as left out


@dataclass(frozen=True)
class CurvatureSAGAligner:
    """Align by rotational matching and SAG with curvature memory.

    Attributes
    ----------
    search
        Where the candidates come from.
    optimizer
        Minimises within each band; lengths in voxels.
    information
        Part of the reference's pose information that the last Fourier band holds.
    max_resolution_angstrom
        A resolution not to be exceeded whatever the information; None for no such limit.
    basin_deg
        How far from the optimum a candidate may start, degrees: sets the first band, coarse enough to lead back. Not
        below the separation of the search's candidates; where a band is too coarse, wrong candidates look as good.
    mask_diameter_angstrom
        Diameter of a soft spherical mask about the box centre of each particle, against neighbours in crowded
        specimens; None for no mask. It should hold the reference at every shift allowed.
    keep
        Most candidates of one particle that enter each level, from the second on.
    passes
        Passes over the data at each level, coarse to fine; one more entry than `keep`.
    margin
        Loss of log-likelihood against the best at which a candidate is dropped. Generous: a candidate may not have
        arrived yet, and the noise of real particles is not quite what the likelihood takes it for.
    calibration_particles
        Particles that the reference's amplitude by Fourier shell is learnt from, once a run; 0 takes it at its word.
    """

    search: Search = field(default_factory=RotationalMatching)
    optimizer: CurvatureSAG = field(default_factory=lambda: CurvatureSAG(batch_fraction=0.25, tolerance=1e-2))
    information: float = 0.99
    max_resolution_angstrom: float | None = None
    basin_deg: float = 17.0
    mask_diameter_angstrom: float | None = None
    keep: Sequence[int] = (12, 4)
    passes: Sequence[float] = (2.0, 1.0, 2.0)
    margin: float = 60.0
    calibration_particles: int = 24

    def __post_init__(self):
        object.__setattr__(self, "keep", tuple(self.keep))
        object.__setattr__(self, "passes", tuple(self.passes))
        if not 0 < self.information <= 1:
            raise InputError(f"information: expected a part above 0 and at most 1, got {self.information}")
        if not 1 <= self.basin_deg <= 90:
            raise InputError(f"basin_deg: expected 1 to 90 degrees, got {self.basin_deg}")
        if self.mask_diameter_angstrom is not None and not self.mask_diameter_angstrom > 0:
            raise InputError(f"mask_diameter_angstrom: expected a diameter above 0, got {self.mask_diameter_angstrom}")
        if len(self.passes) != len(self.keep) + 1:
            raise InputError(f"passes: expected one entry more than keep ({len(self.keep)}), got {len(self.passes)}")
        if not self.margin > 0:
            raise InputError(f"margin: expected a loss of log-likelihood above 0, got {self.margin}")
        if self.calibration_particles < 0:
            raise InputError(
                f"calibration_particles: expected a number of particles, 0 or more, got {self.calibration_particles}"
            )

    @exact
    def prepare(
        self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu"
    ) -> PreparedCurvatureSAG:
        """Choose the bands and build their models."""
        given = checked_reference(reference, symmetry, device)
        return PreparedCurvatureSAG(self, given, symmetry, given.density.device)


class PreparedCurvatureSAG:
    """See `CurvatureSAGAligner`."""

    def __init__(
        self, method: CurvatureSAGAligner, reference: DensityMap, symmetry: Symmetry, device: torch.device | str
    ):
        self._method, self._symmetry = method, symmetry
        self._mask = None
        if method.mask_diameter_angstrom is not None:
            radius = 0.5 * method.mask_diameter_angstrom / reference.voxel_size
            self._mask = spherical_mask(reference.box, radius, device=device)
        # A mask lowers the noise of every coefficient by this factor, and correlates them by as much.
        self._independent = 1.0 if self._mask is None else float(self._mask.square().mean())
        self._given = DensityMap(as_model(reference.density.float()).to(device), reference.voxel_size)
        self._posterior = True  # whether uncertainties are more than bounds
        self._modes = 1  # poses of each particle that results hold
        self._last = shell_of_information(self._given.density, method.information)
        self._noise = NoiseShape()
        self._strength = ReferenceStrength(torch.ones(self._limited(self._last), device=self._given.density.device))
        self._take(self._given)

    def _take(self, reference: DensityMap) -> None:
        """Prepare everything for a reference; its amplitude is that of what is known of its strength."""
        self._reference = reference
        self._search = self._method.search.prepare(reference, self._symmetry, reference.density.device)
        self._length = radius_of_gyration(reference.density)
        self._table = FourierTable.from_density(reference.density, len(self._strength.amplitude))
        self._choose_bands()

    def posing(self) -> PreparedCurvatureSAG:
        """See `torchsag.alignment.aligner.PosingAligner`; the uncertainties are the Cramer-Rao bounds."""
        other = copy(self)
        other._posterior = False
        return other

    def with_modes(self, most: int) -> PreparedCurvatureSAG:
        """See `torchsag.alignment.aligner.ModalAligner`."""
        other = copy(self)
        other._modes = most
        return other

    @property
    def calibration_particles(self) -> int:
        """See `torchsag.alignment.aligner.CalibratingAligner`."""
        return self._method.calibration_particles

    @property
    def last_shell(self) -> int:
        """The largest Fourier shell that is looked at."""
        return self._levels[-1].band.max_shell

    @property
    def outermost_shell(self) -> int | None:
        """See `torchsag.alignment.aligner.BandLimitedAligner`; a mask brings in all shells."""
        searched = getattr(self._search, "max_shell", None)
        return None if searched is None or self._mask is not None else max(searched, self._table.max_shell)

    @property
    def learnt(self) -> Learnt:
        """See `torchsag.alignment.aligner.LearningAligner`."""
        reach, surroundings = self._given.box[0] * self._given.voxel_size, self._strength.surroundings
        return Learnt(
            amplitude_by_shell=tuple(self._strength.amplitude[: self.last_shell].tolist()),
            finest_angstrom=reach / self.last_shell,
            surroundings_left_out=surroundings is not None
            and float(surroundings[: self.last_shell].mean()) < _LEFT_OUT,
            variances_times=self._noise.excess / self._independent,
            noise_is_even=self._noise.power is None,
        )

    @exact
    def calibrated(self, particles: ParticleBatch) -> PreparedCurvatureSAG:
        """The aligner with the reference's amplitude, shell by shell, and the noise as these particles show them.

        Again with the better poses that it leads to, until it stays. A reference that is what it says, as far as poses
        are concerned, is taken at its word: what a few particles say of it would only add their noise.
        """
        known, poses = self._with_measured_strength(particles)
        return known.with_noise(known.measured_noise(particles, poses))

    def _with_measured_strength(self, particles: ParticleBatch) -> tuple[PreparedCurvatureSAG, Poses]:
        """The aligner with the reference's amplitude, and the last poses that were found on the way."""
        plain = self.with_noise(NoiseShape()).with_strength(
            ReferenceStrength(torch.ones_like(self._strength.amplitude))
        )
        whole, poses = plain._measured_strength(particles)
        known = plain.with_strength(whole)
        given, amplitude = self._given.density, whole.amplitude
        if information_lost(given, known._part() * given, amplitude) > _ALL_OF_IT:
            divided = replace(whole, surroundings=torch.zeros_like(whole.amplitude))
            known = plain.with_strength(plain.with_strength(divided)._measured_strength(particles)[0])
        if known._strength.surroundings is None:
            known = plain.with_strength(whole)
            if known._differs_from(plain) < _AT_ITS_WORD:
                return plain, poses
        for _ in range(_CALIBRATIONS - 1):
            strength, poses = known._measured_strength(particles)
            before, known = known, known.with_strength(strength)
            if known._differs_from(before) < _SAME_INFORMATION:
                break
        _log.info("amplitude of the reference on shells 1, 2, ..: %s", _rounded(known._strength.amplitude))
        return known, poses

    def calibrated_like(self, other: PreparedAligner) -> PreparedCurvatureSAG:
        """See `torchsag.alignment.aligner.CalibratingAligner`."""
        if not isinstance(other, PreparedCurvatureSAG):
            return self
        alike = other._reference.box == self._reference.box
        known = self.with_strength(other._strength.within(len(self._strength.amplitude)))
        return known.with_noise(other._noise) if alike else known

    def with_noise(self, shape: NoiseShape) -> PreparedCurvatureSAG:
        """See `torchsag.alignment.aligner.NoiseLearningAligner`."""
        other = copy(self)
        other._noise = shape
        return other

    def with_strength(self, strength: ReferenceStrength) -> PreparedCurvatureSAG:
        """The aligner for particles in which the reference is so strong."""
        other = copy(self)
        other._strength = strength
        if strength.surroundings is None and self._strength.surroundings is None:
            other._choose_bands()
        else:
            other._take(replace(self._given, density=strength.weighed(self._given.density, other._part())))
        return other

    def _part(self) -> Float[Tensor, "z y x"]:
        """What stands out of the reference."""
        given, amplitude = self._given.density, self._strength.amplitude
        last = shell_of_information(given, self._method.information, amplitude)
        return standing_out(given, amplitude, last)

    @exact
    def measured_noise(self, particles: ParticleBatch, poses: Poses) -> NoiseShape:
        """See `torchsag.alignment.aligner.NoiseLearningAligner`."""
        table, images = self._levels[-1].table, self.with_noise(NoiseShape())._as_images(particles)
        shape = noise_shape(images, self._reference.density, table, poses, self._independent)
        if shape.power is not None or shape.excess != 1:
            _log.info("noise: %s, variances times %.2f", "even" if shape.power is None else "uneven", shape.excess)
        return shape

    def _measured_strength(self, particles: ParticleBatch) -> tuple[ReferenceStrength, Poses]:
        found = self(particles)
        particles = of_unit_size(checked_batch(particles, self._given))
        seen = particles if self._mask is None else particles.masked(self._mask)
        whole, inside = self._given.density, None
        if self._strength.surroundings is not None:
            inside = self._part() * whole
        parts = [whole] if inside is None else [inside, whole - inside, whole]
        tables = [FourierTable.from_density(part, self._table.max_shell) for part in parts]
        fits = fit_by_shell(seen, tables, found.poses, found.covariances, found.ambiguity)
        return strength_of(*fits), found.poses

    def _differs_from(self, other: PreparedCurvatureSAG) -> float:
        mine, theirs = ((one._reference.density, one._strength.amplitude) for one in (self, other))
        return information_moved(*mine, *theirs)

    def _choose_bands(self) -> None:
        device, box = self._reference.density.device, self._reference.box[0]
        length = torch.tensor([self._length], device=device)
        self._levels = tuple(
            Level(
                self._table.within(shell),
                FourierBand.of(box, shell, num_blocks=8, device=device),
                self._method.optimizer,
                passes,
                length,
            )
            for shell, passes in zip(self._shells(), self._method.passes, strict=True)
        )

    @property
    def _coarse_to_fine(self) -> CoarseToFine:
        box, device = self._reference.box[0], self._reference.density.device
        return CoarseToFine(
            levels=self._levels,
            by_shell=FourierBand.by_shell(box, self.last_shell, device),
            keep=self._method.keep,
            margin=self._method.margin,
            symmetry=self._symmetry,
            excess=self._noise.excess / self._independent,
            posterior=self._posterior,
            modes=self._modes,
        )

    @exact
    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch."""
        with stage("transform"):
            images = self._as_images(particles)
        return self._coarse_to_fine(images, self._search)

    @property
    def kind(self) -> tuple[object, ...]:
        """See `torchsag.alignment.aligner.JoinableAligner`."""
        learnt = tuple(self._strength.amplitude.tolist()), self._noise.excess, id(self._noise.power)
        return self._coarse_to_fine.bands, self._posterior, self._modes, *learnt

    def joined(self, others: Sequence[PreparedAligner]) -> JointCurvatureSAG:
        """See `torchsag.alignment.aligner.JoinableAligner`."""
        aligners = [self, *(other for other in others if isinstance(other, PreparedCurvatureSAG))]
        return JointCurvatureSAG(
            images=self._as_images,
            searches=tuple(aligner._search for aligner in aligners),
            coarse_to_fine=CoarseToFine.joined([aligner._coarse_to_fine for aligner in aligners]),
        )

    def _as_images(self, particles: ParticleBatch) -> ParticleBatch:
        """The particles as images of the reference."""
        particles = of_unit_size(checked_batch(particles, self._given))
        if self._mask is not None:
            particles = particles.masked(self._mask)
        return self._noise.whitened(weighted_by_amplitude(particles, self._strength.amplitude))

    def _shells(self) -> list[int]:
        """Bands from what a refinement from `basin_deg` away needs to what the reference can tell."""
        box, density = self._reference.box[0], self._reference.density
        last, amplitude = self._last, self._strength.amplitude
        if density is not self._given.density or bool((amplitude != 1).any()):
            last = shell_of_information(density, self._method.information, amplitude)
        last = min(self._limited(last), self._table.max_shell)
        first = min(last, max(4, round(180 / self._method.basin_deg * box / (2 * math.pi * self._length))))
        count = len(self._method.passes)
        if count == 1:
            return [last]
        return [round(first * (last / first) ** (step / (count - 1))) for step in range(count)]

    def _limited(self, shell: int) -> int:
        """No further than the resolution allowed."""
        limit = self._method.max_resolution_angstrom
        reach = self._given.box[0] * self._given.voxel_size
        return shell if limit is None else min(shell, max(2, int(reach / limit)))


def _rounded(amplitude: Float[Tensor, " shells"]) -> str:
    return " ".join(f"{value:.2f}" for value in amplitude.tolist())
