"""Candidate poses of many particles in one list, and how the list is thinned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from torchsag.geometry import Poses, Symmetry


@dataclass(frozen=True)
class Contenders:
    """What is known of each candidate pose.

    Attributes
    ----------
    poses
        The poses, of all particles one after another.
    particle
        Which particle each is a candidate for.
    score
        Matched filter ``cross / sqrt(energy)``: half its square over the noise variance is the gain in log-likelihood
        over no particle at all.
    amplitude
        Scale of the model that fits best at this pose.
    converged
        Whether the last refinement met the optimizer's stopping rule.
    """

    poses: Poses
    particle: Integer[Tensor, " contenders"]
    score: Float[Tensor, " contenders"]
    amplitude: Float[Tensor, " contenders"]
    converged: Bool[Tensor, " contenders"]

    @staticmethod
    def of(poses: Poses, particle: Integer[Tensor, " particles"]) -> Contenders:
        """The same number of poses ``[particles, each, ...]`` for each particle, nothing known of them yet."""
        each = poses.shifts.shape[1]
        unknown = poses.shifts.new_ones(len(particle) * each)
        return Contenders(
            poses.flatten(),
            particle.repeat_interleave(each),
            unknown,
            unknown,
            torch.zeros_like(unknown, dtype=torch.bool),
        )

    def __getitem__(self, index: Tensor) -> Contenders:
        return Contenders(
            self.poses[index], self.particle[index], self.score[index], self.amplitude[index], self.converged[index]
        )

    def particle_amplitude(self, count: int) -> Float[Tensor, " particles"]:
        """The amplitude at each particle's best candidate."""
        best = self.best(count)
        return self.amplitude[best]

    def best(self, count: int) -> Integer[Tensor, " particles"]:
        """The row of each particle's best candidate."""
        return self.by_rank(count)[:, 0]

    def thin(
        self, count: int, keep: int, margin: Float[Tensor, " particles"], angle: float, shift: float, symmetry: Symmetry
    ) -> Contenders:
        """Keep at most `keep` distinct candidates of each particle, within `margin` of its best.

        Parameters
        ----------
        count
            Number of particles.
        keep
            Candidates kept of one particle.
        margin
            Largest loss of ``score^2 / 2`` against the best.
        angle, shift
            Candidates closer than this (radians and voxels, modulo symmetry) to a better one are the same.
        """
        rows = self.by_rank(count)
        present = rows >= 0
        ranked = self[rows.clamp_min(0).flatten()]
        gain = (0.5 * ranked.score.clamp_min(0).square()).unflatten(0, rows.shape)
        poses = ranked.poses.unflatten(tuple(rows.shape))
        turn = symmetry.distance(poses.rotations[:, :, None], poses.rotations[:, None])
        apart = (turn > angle) | ((poses.shifts[:, :, None] - poses.shifts[:, None]).norm(dim=-1) > shift)
        better = torch.ones_like(apart[0]).tril(-1)
        repeats = (~apart & better & present[:, None]).any(-1)
        kept = present & ~repeats & (gain[:, :1] - gain <= margin[:, None])
        kept &= kept.cumsum(1) <= keep
        return self[rows[kept]]

    def by_rank(self, count: int) -> Integer[Tensor, "particles ranks"]:
        """Each particle's rows, best first, filled up with -1."""
        order = self.score.argsort(descending=True, stable=True)
        order = order[self.particle[order].argsort(stable=True)]
        sizes = torch.bincount(self.particle, minlength=count)
        starts = sizes.cumsum(0) - sizes
        rank = torch.arange(len(order), device=order.device) - starts[self.particle[order]]
        rows = order.new_full((count, int(sizes.max())), -1)
        rows[self.particle[order], rank] = order
        return rows
