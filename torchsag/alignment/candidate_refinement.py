"""Refine every candidate pose of every particle in real space and keep the best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.alignment.given import checked_batch, checked_reference
from torchsag.alignment.shared_candidates import RefinedCandidates
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.geometry.precision import exact
from torchsag.imaging.interpolation import Interpolation
from torchsag.imaging.reference import as_model
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.losses.loss import Loss
from torchsag.optim import LeastSquaresObjective, Optimizer, minimize
from torchsag.particles import DensityMap, ParticleBatch, of_unit_size
from torchsag.search.candidates import Candidates, Limits, PreparedSearch, Search
from torchsag.slices.around import objective_around
from torchsag.slices.calibration import calibrate
from torchsag.slices.matching import Matching, match_parts
from torchsag.slices.partition import Partition
from torchsag.slices.slice_objective import UNKNOWNS
from torchsag.slices.whole_volume import WholeVolume
from torchsag.timing import stage
from torchsag.trajectory import note

_SAME_SCORE = 1e-5  # correlation; the optimizer's tolerance costs less


@dataclass(frozen=True)
class CandidateRefinement:
    """An `Aligner`: search, refine all candidates, report the one with the highest constrained correlation.

    The family to which the paper's two algorithms belong; any additive loss, partition and optimizer may be combined,
    and any loss whatever with the whole volume as one term.

    Attributes
    ----------
    search
        Where the candidates come from.
    loss
        What is minimised.
    partition
        How the loss is divided into terms.
    optimizer
        How it is minimised, over eight unknowns: rotation vector, shift, log-amplitude, offset.
    interpolation
        How the reference is read between its voxels.
    resolution_angstrom
        Detail finer than this is left out of particle and reference; None uses all.
    mask_diameter_angstrom
        Diameter of the soft spherical mask about the box centre; None takes the largest sphere in the box.
    max_candidates
        How many of the search's candidates are refined, best first.
    max_passes
        Passes over a particle's data that the refinement of a candidate may spend.
    """

    search: Search
    loss: Loss
    partition: Partition
    optimizer: Optimizer
    interpolation: Interpolation
    resolution_angstrom: float | None = 30.0
    mask_diameter_angstrom: float | None = None
    max_candidates: int = 10
    max_passes: float = 30.0

    def __post_init__(self):
        if self.max_candidates < 1:
            raise InputError(f"max_candidates: expected at least 1, got {self.max_candidates}")
        if not self.max_passes > 0:
            raise InputError(f"max_passes: expected more than 0 passes over the data, got {self.max_passes}")

    @exact
    def prepare(
        self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu"
    ) -> PreparedCandidateRefinement:
        """Prepare the search; the reference's tables depend on the particles' weights and are made with them."""
        given = checked_reference(reference, symmetry, device)
        model = DensityMap(as_model(given.density), given.voxel_size)
        return PreparedCandidateRefinement(self, self.search.prepare(given, symmetry, given.density.device), model)


@dataclass(frozen=True)
class PreparedCandidateRefinement:
    """See `CandidateRefinement`; a `torchsag.alignment.shared_candidates.CandidateAligner`."""

    method: CandidateRefinement
    search: PreparedSearch
    reference: DensityMap

    @exact
    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch."""
        found, refinement = self.candidates(particles), self.refinement(particles)
        return refinement.choose(refinement.refine(found))

    def candidates(self, particles: ParticleBatch) -> Candidates:
        """Where refinement starts."""
        with stage("search"):
            return self.search(of_unit_size(checked_batch(particles, self.reference))).ranked(
                slice(self.method.max_candidates)
            )

    def refinement(self, particles: ParticleBatch) -> BatchRefinement:
        """Refines candidates of these particles."""
        return BatchRefinement(self.method, self.reference, of_unit_size(checked_batch(particles, self.reference)))


@dataclass(frozen=True)
class BatchRefinement:
    """Particles and reference made comparable, once for all candidates."""

    method: CandidateRefinement
    reference: DensityMap
    particles: ParticleBatch

    def refine(self, found: Candidates) -> RefinedCandidates:
        """Move every candidate to its optimum and score it there."""
        starts = found.poses.flatten()
        count, each = found.scores.shape
        particle = torch.arange(count, device=starts.shifts.device).repeat_interleave(each)
        with stage("refinement"):
            objective = objective_around(self._comparison, starts, particle)
            unmoved = starts.shifts.new_zeros(len(starts), UNKNOWNS)

            def watch(spent: Tensor, move: Tensor) -> None:
                note(
                    spent.sum() / count + each,
                    lambda: (_moved(starts, move[:, :6], particle, found.limits), particle),
                )

            minimum = minimize(self.method.optimizer, objective, unmoved, self.method.max_passes, watch)
            poses = _moved(starts, minimum.move[:, :6], particle, found.limits)
        with stage("judging"):
            _, scores = calibrate(self._exact, poses, particle)
        rows = (count, each)
        return RefinedCandidates(
            poses.unflatten(rows),
            scores.unflatten(0, rows),
            minimum.converged.unflatten(0, rows),
            # One more for the amplitude at the start.
            (minimum.settled_after + 1).unflatten(0, rows),
        )

    def choose(self, refined: RefinedCandidates) -> AlignmentResult:
        """The best candidate of each particle."""
        with stage("judging"):
            # Candidates that found the same optimum differ by rounding, which differs with what shares a batch.
            level = refined.scores.amax(1, keepdim=True) - _SAME_SCORE
            ranks = torch.arange(refined.scores.shape[1], device=level.device)
            best = torch.where(refined.scores >= level, ranks, len(ranks)).amin(1).clamp_max(len(ranks) - 1)
            scores = refined.scores.gather(1, best[:, None])[:, 0]
            rows = torch.arange(len(best), device=best.device)
            chosen = refined.poses[rows, best]
            return AlignmentResult(
                poses=chosen,
                scores=scores,
                covariances=_covariances(self._comparison, chosen, rows, scores),
                ambiguity=torch.full_like(scores, torch.nan),
                converged=refined.converged[rows, best],
                passes=refined.passes.sum(1),
            )

    @cached_property
    def _comparison(self) -> Matching:
        return self._compare(self.method.loss, self.method.partition)

    @cached_property
    def _exact(self) -> Matching:
        return self._compare(ConstrainedDistance(), WholeVolume())

    def _compare(self, loss: Loss, partition: Partition) -> Matching:
        method = self.method
        return match_parts(
            self.particles, self.reference, loss, partition, method.interpolation,
            method.resolution_angstrom, method.mask_diameter_angstrom,
        )  # fmt: skip


def _moved(starts: Poses, move: Float[Tensor, "problems 6"], particle: Tensor, limits: Limits) -> Poses:
    """The moved poses; a problem that left its limits, or the numbers, stays at its start."""
    finite = torch.where(move.isfinite().all(1, keepdim=True), move, torch.zeros_like(move))
    allowed = limits.allow(starts.retract(finite), particle)
    return starts.retract(torch.where(allowed[:, None], finite, torch.zeros_like(finite)))


def _covariances(
    matching: Matching, poses: Poses, particle: Tensor, correlation: Tensor
) -> Float[Tensor, "particles 6 6"]:
    """Inverse of the summed Gauss-Newton blocks, amplitude and offset integrated out, times the noise variance.

    The blocks count the particle's own variance as noise; the part ``CCC^2`` of it is signal.
    """
    objective = objective_around(matching, poses, particle)
    if not isinstance(objective, LeastSquaresObjective):
        return poses.rotations.new_full((len(poses), 6, 6), torch.nan)
    every = torch.arange(objective.num_terms, device=particle.device)
    _, _, blocks = objective.curvature(poses.shifts.new_zeros(len(poses), UNKNOWNS), every)
    inverse, failed = torch.linalg.inv_ex(blocks.sum(1).double())
    noise = (1 - correlation.square()).double()
    covariance = (noise[:, None, None] * inverse)[:, :6, :6].to(blocks.dtype)
    return torch.where((failed == 0)[:, None, None], covariance, torch.nan)
