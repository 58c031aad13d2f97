"""Refine every candidate pose of every particle in real space and keep the best."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.interpolation import Interpolation
from torchsag.imaging.reference import isolated
from torchsag.optim import LeastSquaresObjective, Minimum, Optimizer, minimize
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.refinement.around import objective_around
from torchsag.refinement.calibration import calibrate
from torchsag.refinement.comparison import Comparison, compare
from torchsag.refinement.slice_objective import UNKNOWNS
from torchsag.refinement.trajectory import note
from torchsag.scoring.constrained_distance import ConstrainedDistance
from torchsag.scoring.partition import Partition
from torchsag.scoring.score import Score
from torchsag.scoring.whole_volume import WholeVolume
from torchsag.search.candidates import Limits, PreparedSearch, Search
from torchsag.timing import stage


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
    loss: Score
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

    def prepare(
        self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu"
    ) -> PreparedCandidateRefinement:
        """Prepare the search; the reference's tables depend on the particles' weights and are made with them."""
        model = DensityMap(isolated(reference.density.float()).to(device), reference.voxel_size)
        return PreparedCandidateRefinement(self, self.search.prepare(reference, symmetry, device), model)


@dataclass(frozen=True)
class PreparedCandidateRefinement:
    """See `CandidateRefinement`."""

    method: CandidateRefinement
    search: PreparedSearch
    reference: DensityMap

    def __call__(self, particles: ParticleBatch) -> AlignmentResult:
        """Align a batch."""
        with stage("search"):
            found = self.search(particles)
        kept = min(self.method.max_candidates, found.scores.shape[1])
        starts = Poses(found.poses.rotations[:, :kept].flatten(0, 1), found.poses.shifts[:, :kept].flatten(0, 1))
        particle = torch.arange(len(particles), device=starts.shifts.device).repeat_interleave(kept)
        with stage("refinement"):
            comparison = self._compare(particles, self.method.loss, self.method.partition)
            objective = objective_around(comparison, starts, particle)
            unmoved = starts.shifts.new_zeros(len(starts), UNKNOWNS)

            def watch(spent: Tensor, move: Tensor) -> None:
                note(
                    spent.sum() / len(particles) + kept,
                    lambda: (_moved(starts, move[:, :6], particle, found.limits), particle),
                )

            minimum = minimize(self.method.optimizer, objective, unmoved, self.method.max_passes, watch)
            poses = _moved(starts, minimum.move[:, :6], particle, found.limits)
        with stage("judging"):
            return self._choose(particles, comparison, poses, particle, minimum)

    def _choose(
        self,
        particles: ParticleBatch,
        comparison: Comparison,
        poses: Poses,
        particle: Integer[Tensor, " problems"],
        minimum: Minimum,
    ) -> AlignmentResult:
        exact = self._compare(particles, ConstrainedDistance(), WholeVolume())
        _, scores = calibrate(exact, poses, particle)
        ranked, best = scores.unflatten(0, (len(particles), -1)).max(1)
        rows = torch.arange(len(particles), device=best.device) * (len(scores) // len(particles)) + best
        chosen = poses[rows]
        return AlignmentResult(
            poses=chosen,
            scores=ranked,
            covariances=_covariances(comparison, chosen, particle[rows], ranked),
            ambiguity=torch.full_like(ranked, torch.nan),
            converged=minimum.converged[rows],
            # Of all candidates; one more of each for the amplitude at the start.
            passes=(minimum.settled_after + 1).unflatten(0, (len(particles), -1)).sum(1),
        )

    def _compare(self, particles: ParticleBatch, loss: Score, partition: Partition) -> Comparison:
        method = self.method
        return compare(
            particles, self.reference, loss, partition, method.interpolation,
            method.resolution_angstrom, method.mask_diameter_angstrom,
        )  # fmt: skip


def _moved(starts: Poses, move: Float[Tensor, "problems 6"], particle: Tensor, limits: Limits) -> Poses:
    """The moved poses; a problem that left its limits, or the numbers, stays at its start."""
    finite = torch.where(move.isfinite().all(1, keepdim=True), move, torch.zeros_like(move))
    allowed = limits.allow(starts.retract(finite), particle)
    return starts.retract(torch.where(allowed[:, None], finite, torch.zeros_like(finite)))


def _covariances(
    comparison: Comparison, poses: Poses, particle: Tensor, correlation: Tensor
) -> Float[Tensor, "particles 6 6"]:
    """Inverse of the summed Gauss-Newton blocks, amplitude and offset integrated out, times the noise variance.

    The blocks count the particle's own variance as noise; the part ``CCC^2`` of it is signal.
    """
    objective = objective_around(comparison, poses, particle)
    if not isinstance(objective, LeastSquaresObjective):
        return poses.rotations.new_full((len(poses), 6, 6), torch.nan)
    every = torch.arange(objective.num_terms, device=particle.device)
    _, _, blocks = objective.curvature(poses.shifts.new_zeros(len(poses), UNKNOWNS), every)
    inverse, failed = torch.linalg.inv_ex(blocks.sum(1).double())
    noise = (1 - correlation.square()).double()
    covariance = (noise[:, None, None] * inverse)[:, :6, :6].to(blocks.dtype)
    return torch.where((failed == 0)[:, None, None], covariance, torch.nan)
