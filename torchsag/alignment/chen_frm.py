"""Constrained fast rotational matching (Chen et al. 2013)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult, pose_only
from torchsag.alignment.given import checked_batch, checked_reference
from torchsag.errors import InputError
from torchsag.fourier import phase_ramp
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.precision import exact
from torchsag.harmonics import EulerGrid
from torchsag.imaging.reference import as_model
from torchsag.likelihood.information import shell_of_information
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import DensityMap, ParticleBatch, of_unit_size
from torchsag.search.candidates import Search
from torchsag.search.power_spectrum_matching import PowerSpectrumMatching
from torchsag.search.rotation_peak import sub_grid_peak
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.search.translational_matching import TranslationalMatching
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.timing import stage
from torchsag.trajectory import note

_AT_ONCE = 8
_PEAK_COST = 20  # evaluations: 19 models and a matching
# Chen et al. take five seeds at least twice a step of 180 / 32 degrees apart.
_SEEDS = PowerSpectrumMatching(degree=31, num_candidates=5, separation_deg=11.25)


@dataclass(frozen=True)
class ChenFRM:
    """An `Aligner`: seeds from power spectra, then shifts and rotations by turns, both by exhaustive matching.

    Y. Chen, S. Pfeffer, T. Hrabe, J. M. Schuller & F. Foerster, J. Struct. Biol. 182, 235 (2013). For each seed: the
    best shift at its rotation; the particle is shifted back and the best rotation of all taken from its complex
    transform; and so on until the shift settles. The seed with the highest constrained correlation wins.

    Better than the original program in three points: correlations are evaluated at the grid's own density instead of
    being doubled by linear interpolation, which cost it two degrees; the peak over rotations is found by paraboloids
    through exact scores at ever smaller steps instead of one parabola through neighbours on the grid; amplitudes lose
    their mean before they are matched (`torchsag.search.power_spectrum_matching`). The correlation is that over all
    that the particle measured, not under a mask that turns with the reference; the loop over ever higher frequencies
    belongs to averaging, where a resolution is measured.

    Attributes
    ----------
    search
        Where the seeds come from.
    degree
        Band limit l of the rotational matching; steps are ``180 / (l + 1)`` degrees.
    information
        Part of the reference's pose information within the Fourier band used for shifts and sub-grid peaks.
    max_shift
        Radius of the ball of shifts, as a fraction of the box.
    max_rounds
        Rounds of shift and rotation that a seed is given.
    settled_voxels
        A seed whose shift changes by no more voxels is left.
    peak_rounds
        Sub-grid peaks of the winner's rotation and shift, the first at half a step, each at half the step before.
    """

    search: Search = field(default_factory=lambda: _SEEDS)
    degree: int = 31
    information: float = 0.99
    max_shift: float = 0.25
    max_rounds: int = 10
    settled_voxels: float = 1.0
    peak_rounds: int = 4

    def __post_init__(self):
        if not 2 <= self.degree <= 64:
            raise InputError(f"degree: expected 2 to 64, got {self.degree}")
        if not 0 < self.information <= 1:
            raise InputError(f"information: expected a part above 0 and at most 1, got {self.information}")
        if not 0 < self.max_shift <= 0.5:
            raise InputError(
                f"max_shift: expected a fraction of the box, above 0 and at most 0.5, got {self.max_shift}"
            )
        for name in ("max_rounds", "peak_rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not self.settled_voxels > 0:
            raise InputError(f"settled_voxels: expected a distance above 0, got {self.settled_voxels}")

    @exact
    def prepare(self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu") -> PreparedChenFRM:
        """Build the tables of both matchings."""
        given = checked_reference(reference, symmetry, device)
        return PreparedChenFRM(self, given, symmetry, given.density.device)


class PreparedChenFRM:
    """See `ChenFRM`."""

    def __init__(self, method: ChenFRM, reference: DensityMap, symmetry: Symmetry, device: torch.device | str):
        self._method, self._reference = method, reference
        self._search = method.search.prepare(reference, symmetry, device)
        density = as_model(reference.density.float()).to(device)
        box = reference.box[0]
        shell = shell_of_information(density, method.information)
        # Half of all shells at most: the memory of its tables grows with their cube.
        coarse = RotationalMatching(method.degree, min(shell, max(2, box // 4)), 0.0)
        self._rotational = coarse.prepare(reference, Symmetry("C1"), device)
        self._grid = EulerGrid(method.degree).rotations().to(density).flatten(0, 2)
        self._translational = TranslationalMatching(
            FourierTable.from_density(density, shell),
            FourierBand.of(box, shell, device=density.device),
            method.max_shift * box,
        )

    @exact
    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch."""
        particles = of_unit_size(checked_batch(particles, self._reference))
        with stage("search"):
            seeds = self._search(particles)
        count, each = seeds.scores.shape
        particle = torch.arange(count, device=seeds.scores.device).repeat_interleave(each)
        starts = seeds.poses.flatten()
        observed = observe(particles, self._translational.band)
        with stage("refinement"):
            poses, rounds, settled = self._alternate(particles, observed, starts, particle)
            matched = self._translational.scores(observed, poses, particle)
            best = matched.unflatten(0, (count, each)).argmax(1)
            rows = torch.arange(count, device=best.device) * each + best
            winners = self._climb(observed, poses[rows], 2.0 * float(rounds.sum()) / count)
        every = torch.arange(count, device=best.device)
        # A round is two matchings.
        spent = 2 * rounds.unflatten(0, (count, each)).sum(1) + _PEAK_COST * self._method.peak_rounds + 1
        return pose_only(
            observed, winners, self._translational.scores(observed, winners, every), settled[rows], spent.to(matched)
        )

    def _alternate(
        self, particles: ParticleBatch, observed: Observations, starts: Poses, particle: Integer[Tensor, " seeds"]
    ) -> tuple[Poses, Integer[Tensor, " seeds"], Bool[Tensor, " seeds"]]:
        """Poses, rounds spent and whether they settled, by turns of rotation and shift."""
        coarse = observe(particles, self._rotational.band)
        rotations, shifts = starts.rotations.clone(), starts.shifts.clone()
        rounds = torch.zeros_like(particle)
        settled = torch.zeros_like(particle, dtype=torch.bool)
        for _ in range(self._method.max_rounds):
            rows = (~settled).nonzero()[:, 0]
            if len(rows) == 0:
                break
            turned = torch.cat([self._best_rotation(coarse, shifts[r], particle[r]) for r in rows.split(_AT_ONCE)])
            found = self._translational(observed, turned, particle[rows])
            settled[rows] = (found.shifts - shifts[rows]).norm(dim=-1) <= self._method.settled_voxels
            rotations[rows], shifts[rows] = found.rotations, found.shifts
            rounds[rows] += 1
            standing = (Poses(rotations.clone(), shifts.clone()), particle)
            note(2.0 * float(rounds.sum()) / len(particles), lambda standing=standing: standing)
        return Poses(rotations, shifts), rounds, settled

    def _best_rotation(
        self, coarse: Observations, shifts: Float[Tensor, "seeds 3"], particle: Integer[Tensor, " seeds"]
    ) -> Float[Tensor, "seeds 3 3"]:
        """The global maximum over rotations once the particle is shifted back."""
        band = self._rotational.band
        back = phase_ramp(band.frequencies.to(shifts) / band.box, -shifts)
        mine = coarse[particle]
        centred = replace(mine, data=mine.data * back)
        return self._grid[self._rotational.scores(centred)[..., 0].argmax(1)]

    def _climb(self, observed: Observations, poses: Poses, spent: float) -> Poses:
        every = torch.arange(len(poses), device=poses.shifts.device)

        def score(tried: Poses) -> Tensor:
            return self._translational.scores(observed, tried, every.repeat_interleave(len(tried) // len(poses)))

        step = math.pi / (self._method.degree + 1)
        for _ in range(self._method.peak_rounds):
            step /= 2
            poses = self._translational(observed, sub_grid_peak(score, poses, step).rotations, every)
            spent += _PEAK_COST
            note(spent, lambda poses=poses: (poses, every))
        return poses
