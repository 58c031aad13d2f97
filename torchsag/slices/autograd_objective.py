"""Any differentiable loss of particle and placed reference: write the loss, autograd does the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.slices.calibration import Calibration
from torchsag.slices.matching import Matching


@dataclass(frozen=True)
class AutogradObjective:
    """``h_i = (independent / 2) loss(f_i, a g_i + b, M_i)`` for an additive loss; the bare loss for any other.

    A `torchsag.optim.Objective` of the eight unknowns of `torchsag.slices.slice_objective.SliceObjective`. A loss that
    is not additive ignores amplitude and offset, whose derivatives are then zero. Slower than the analytic form and
    without Gauss-Newton blocks: meant for trying losses.

    Attributes
    ----------
    matching, poses, particle, calibration
        As in `torchsag.slices.slice_objective.SliceObjective`.
    """

    matching: Matching
    poses: Poses
    particle: Integer[Tensor, " problems"]
    calibration: Calibration

    @property
    def num_terms(self) -> int:
        """Number of parts that the mask reaches."""
        return self.matching.num_terms

    def values(self, move: Float[Tensor, "problems 8"], terms: Integer[Tensor, " b"]) -> Float[Tensor, "problems b"]:
        """Each term's value; differentiable in the move."""
        return self._values(move[:, None].expand(-1, len(terms), -1), terms)

    def gradients(
        self, move: Float[Tensor, "problems 8"], terms: Integer[Tensor, " b"]
    ) -> tuple[Float[Tensor, "problems b"], Float[Tensor, "problems b 8"]]:
        """Each term's value and gradient, by one backward pass: every term has its own copy of the move."""
        with torch.enable_grad():
            copies = move.detach()[:, None].repeat(1, len(terms), 1).requires_grad_()
            values = self._values(copies, terms)
            (gradients,) = torch.autograd.grad(values.sum(), copies)
        return values.detach(), gradients

    def _values(self, moves: Tensor, terms: Tensor) -> Tensor:
        where, loss = self.matching, self.matching.loss
        poses = Poses(self.poses.rotations[:, None], self.poses.shifts[:, None]).retract(moves[..., :6])
        sources = where.sources(poses.rotations, poses.shifts, terms)
        model = where.filter(where.sample(sources, self.particle), self.particle)
        part = where.split.part
        model = model.unflatten(-1, part)
        mask = where.mask[terms].unflatten(-1, part)
        observed = where.observed[self.particle[:, None], terms].unflatten(-1, part)
        if not loss.additive:
            return loss.loss(observed, model, mask)
        amplitude = self.calibration.amplitude[:, None] * moves[..., 6].exp()
        offset = self.calibration.offset[:, None] + moves[..., 7]
        fitted = amplitude[..., None, None, None] * model + offset[..., None, None, None]
        return where.independent[self.particle, None] / 2 * loss.loss(observed, fitted, mask)
