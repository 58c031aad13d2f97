"""Gradient refinement with stochastic parallel candidates (Xu & Alber 2012)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult, pose_only
from torchsag.alignment.given import checked_batch, checked_reference
from torchsag.alignment.xu_alber.candidate_lottery import draw_candidates, pose_gap
from torchsag.alignment.xu_alber.damping_rules import DampingRule, FixedDamping
from torchsag.alignment.xu_alber.unit_distance import UnitDistance
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.precision import exact
from torchsag.imaging.reference import as_model
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.information import shell_of_information
from torchsag.likelihood.observations import Observations, observe
from torchsag.optim.normal_equations import damped_step
from torchsag.particles import DensityMap, ParticleBatch, of_unit_size
from torchsag.search.candidates import Candidates, PreparedSearch, Search
from torchsag.search.power_spectrum_matching import PowerSpectrumMatching
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.timing import stage
from torchsag.trajectory import note

_WINDOW = 10  # rounds over which the slope of the best distance is taken


@dataclass(frozen=True)
class XuAlber:
    """An `Aligner`: Levenberg-Marquardt steps, one at a time, on the candidates of fast matching.

    M. Xu & F. Alber, BMC Systems Biology 6 (Suppl 1), S18 (2012). In every round each particle draws one of its active
    candidates, better ones more often, gives it one step down the constrained distance, and drops what has become the
    same as a better one. It stops when the candidate stepped is the best and the best distance has stopped falling.

    As in the paper the distance is normalised, wedge included, and its derivative takes the norms into account. Unlike
    there, derivatives are analytic instead of central differences of one degree and one voxel, the sums run over
    a Fourier band instead of voxels (the same by Parseval's theorem), and moves are rotation vectors, which have no
    poles, instead of Euler angles.

    Attributes
    ----------
    search
        Where the candidates come from.
    damping
        How steps are damped: `FixedDamping` as published, or `GainRatioDamping`.
    information
        Part of the reference's pose information within the Fourier band.
    tolerance
        Fall of the best distance per round, relative to the best at the start, at which a particle is done.
    same
        Gap (see `torchsag.alignment.xu_alber.candidate_lottery.pose_gap`) below which the worse of two candidates is
        dropped.
    max_rounds
        Steps a particle may take.
    seed
        Of the draws.
    """

    search: Search = field(default_factory=PowerSpectrumMatching)
    damping: DampingRule = field(default_factory=FixedDamping)
    information: float = 0.99
    tolerance: float = 1e-5
    same: float = 1.0
    max_rounds: int = 1000
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.information <= 1:
            raise InputError(f"information: expected a part above 0 and at most 1, got {self.information}")
        if not self.tolerance > 0:
            raise InputError(f"tolerance: expected a value above 0, got {self.tolerance}")
        if not self.same >= 0:
            raise InputError(f"same: expected a gap of at least 0, got {self.same}")
        if self.max_rounds < 1:
            raise InputError(f"max_rounds: expected at least 1, got {self.max_rounds}")

    @exact
    def prepare(self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu") -> PreparedXuAlber:
        """Build the tables of search and refinement."""
        given = checked_reference(reference, symmetry, device)
        density = as_model(given.density)
        shell = shell_of_information(density, self.information)
        return PreparedXuAlber(
            self,
            self.search.prepare(given, symmetry, density.device),
            FourierTable.from_density(density, shell),
            FourierBand.of(reference.box[0], shell, device=density.device),
            given,
        )


@dataclass(frozen=True)
class PreparedXuAlber:
    """See `XuAlber`."""

    method: XuAlber
    search: PreparedSearch
    table: FourierTable
    band: FourierBand
    reference: DensityMap

    @exact
    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch."""
        particles = of_unit_size(checked_batch(particles, self.reference))
        with stage("search"):
            found = self.search(particles)
        observed = observe(particles, self.band)
        with stage("refinement"):
            contest = _Contest(self, observed, found)
            generator = torch.Generator().manual_seed(self.method.seed)
            while contest.round(float(torch.rand((), generator=generator))):
                note(contest.spent.float().mean(), contest.leaders)
        rows = contest.best_rows()
        power = observed.power.sum(-1)
        matched = contest.here.correlation[rows] * power.sqrt()
        return pose_only(observed, contest.poses[rows], matched, contest.converged, contest.spent.to(matched))

    def linearise(self, observed: Observations, poses: Poses, particle: Integer[Tensor, " poses"]) -> UnitDistance:
        """The distance around poses."""
        sums = block_sums(self.table, self.band, observed, poses, particle, torch.arange(self.band.num_blocks))
        return UnitDistance.of(sums, observed.power.sum(-1)[particle])


class _Contest:
    """The candidates of all particles on their way; candidate c of particle p is row ``p * each + c``."""

    def __init__(self, aligner: PreparedXuAlber, observed: Observations, found: Candidates):
        self._aligner, self._observed, self._limits = aligner, observed, found.limits
        self._count, self._each = found.scores.shape
        device = found.scores.device
        self._particle = torch.arange(self._count, device=device).repeat_interleave(self._each)
        self.poses = Poses(found.poses.rotations.flatten(0, 1).clone(), found.poses.shifts.flatten(0, 1).clone())
        self.here = aligner.linearise(observed, self.poses, self._particle)
        self._active = found.scores.isfinite()
        self._active[:, 0] = True
        self._damping = torch.full_like(self.here.correlation, aligner.method.damping.start)
        self._first = self._distances().amin(1)
        # Best distances at the last rounds in which the best candidate moved, latest last.
        self._history = self._first.new_full((self._count, _WINDOW), torch.nan)
        self.converged = torch.zeros_like(self._first, dtype=torch.bool)
        self.spent = torch.full_like(self._particle[: self._count], self._each)
        self._rounds = 0

    def round(self, uniform: float) -> bool:
        """One step of one candidate of every particle that is not done; False when there is nothing to do."""
        going = (~self.converged).nonzero()[:, 0]
        if len(going) == 0 or self._rounds == self._aligner.method.max_rounds:
            return False
        drawn = draw_candidates(self._distances()[going], self._active[going], uniform)
        rows = going * self._each + drawn
        self._step(rows)
        self._merge(going, drawn)
        self._remember(going, rows)
        self.spent[going] += 1
        self._rounds += 1
        return True

    def leaders(self) -> tuple[Poses, Tensor]:
        """The best candidate of each particle, and that particle."""
        rows = self.best_rows()
        return self.poses[rows], self._particle[rows]

    def best_rows(self) -> Integer[Tensor, " particles"]:
        """The best candidate of each particle."""
        distance = torch.where(self._active, self._distances(), torch.inf)
        return torch.arange(self._count, device=distance.device) * self._each + distance.argmin(1)

    def _distances(self) -> Float[Tensor, "particles candidates"]:
        return self.here.distance.unflatten(0, (self._count, self._each))

    def _step(self, rows: Integer[Tensor, " going"]) -> None:
        rule, here, damping = self._aligner.method.damping, self.here[rows], self._damping[rows]
        curvature = rule.curvature(here)
        step = damped_step(curvature, here.gradient, damping)
        trial = self.poses[rows].retract(step)
        there = self._aligner.linearise(self._observed, trial, self._particle[rows])
        predicted = -(step * (here.gradient + 0.5 * (curvature @ step[..., None])[..., 0])).sum(1)
        gain = (there.correlation - here.correlation) / predicted.clamp_min(torch.finfo(predicted.dtype).tiny)
        taken, self._damping[rows] = rule.judge(damping, gain)
        taken &= self._limits.allow(trial, self._particle[rows])
        moved = rows[taken]
        self.poses.rotations[moved], self.poses.shifts[moved] = trial.rotations[taken], trial.shifts[taken]
        self.here.correlation[moved] = there.correlation[taken]
        self.here.gradient[moved] = there.gradient[taken]
        self.here.gauss_newton[moved] = there.gauss_newton[taken]

    def _merge(self, going: Integer[Tensor, " going"], drawn: Integer[Tensor, " going"]) -> None:
        """Of the stepped candidate and each that has become the same, drop the worse."""
        others = (going[:, None] * self._each + torch.arange(self._each, device=going.device)).flatten()
        mine = (going * self._each + drawn).repeat_interleave(self._each)
        gap = pose_gap(self.poses[mine], self.poses[others]).unflatten(0, (len(going), self._each))
        distance, active = self._distances()[going], self._active[going]
        own = distance.gather(1, drawn[:, None])
        itself = torch.arange(self._each, device=going.device) == drawn[:, None]
        same = (gap < self._aligner.method.same) & active & ~itself
        active = active & ~(same & (distance >= own))
        beaten = (same & (distance < own)).any(1, keepdim=True)
        self._active[going] = active & ~(itself & beaten)

    def _remember(self, going: Integer[Tensor, " going"], rows: Integer[Tensor, " going"]) -> None:
        """Note the best distance where the best candidate moved, and stop where it falls no more."""
        moved = going[self.best_rows()[going] == rows]
        best = self.here.distance[self.best_rows()[moved]]
        self._history[moved] = torch.cat([self._history[moved, 1:], best[:, None]], 1)
        falling = -_slope(self._history[moved]) / self._first[moved].clamp_min(1e-12)
        # Without ten rounds the slope is not a number, and no reason to stop.
        self.converged[moved] = falling < self._aligner.method.tolerance


def _slope(history: Float[Tensor, "particles rounds"]) -> Float[Tensor, " particles"]:
    """Least-squares slope per round."""
    time = torch.arange(history.shape[1], dtype=history.dtype, device=history.device)
    time = time - time.mean()
    return (history * time).sum(1) / time.square().sum()
