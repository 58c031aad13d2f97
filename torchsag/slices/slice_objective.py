"""Pointwise losses of placed volumes, with analytic gradients and Gauss-Newton blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.geometry.rotations import left_jacobian
from torchsag.losses.loss import PointwiseLoss
from torchsag.slices.calibration import Calibration
from torchsag.slices.matching import Matching

UNKNOWNS = 8
"""Rotation vector (3, radians), shift (3, voxels), logarithm of the relative amplitude, added offset."""

# Numbers in the largest temporary: small enough for the processor's cache to be of use, large enough to amortise calls.
_CHUNK = 2_000_000


@dataclass(frozen=True)
class SliceObjective:
    """``h_i = (independent / 2) sum rho(M (f - a g_beta - b))`` over the voxels of part i.

    A `torchsag.optim.LeastSquaresObjective` of eight unknowns: the pose's tangent move around `poses`, the logarithm
    of the amplitude relative to `calibration`, and the offset beyond it. With rho = r^2 the sum of all terms is the
    negative log-likelihood of noise as strong as the particle itself, so that the inverse of the summed blocks is the
    covariance of the unknowns up to the part of the particle that is signal.

    Attributes
    ----------
    matching
        Particles and reference.
    loss
        The loss, pointwise.
    poses
        Where ``move = 0`` stands, one per problem.
    particle
        Each problem's particle.
    calibration
        Amplitude and offset at ``move = 0``.
    """

    matching: Matching
    loss: PointwiseLoss
    poses: Poses
    particle: Integer[Tensor, " problems"]
    calibration: Calibration

    @property
    def num_terms(self) -> int:
        """Number of parts that the mask reaches."""
        return self.matching.num_terms

    def values(self, move: Float[Tensor, "problems 8"], terms: Integer[Tensor, " b"]) -> Float[Tensor, "problems b"]:
        """Each term's value."""
        parts = []
        for chunk in self._chunks(len(terms), 1):
            at = self._at(move, chunk)
            sources = self.matching.sources(at.poses.rotations[:, None], at.poses.shifts[:, None], terms)
            model = self.matching.filter(self.matching.sample(sources, at.particle), at.particle)
            penalty, _, _ = self.loss.penalty(self._residual(at, model, terms))
            parts.append(at.factor[:, None] * penalty.sum(-1))
        return torch.cat(parts)

    def gradients(
        self, move: Float[Tensor, "problems 8"], terms: Integer[Tensor, " b"]
    ) -> tuple[Float[Tensor, "problems b"], Float[Tensor, "problems b 8"]]:
        """Each term's value and gradient; the filter is self-adjoint, so it acts once on the residual."""
        values, gradients = [], []
        for chunk in self._chunks(len(terms), 4):
            at = self._at(move, chunk)
            sources, model, slope = self._model(at, terms)
            model = self.matching.filter(model, at.particle)
            penalty, derivative, _ = self.loss.penalty(self._residual(at, model, terms))
            pulled = self.matching.mask[terms] * derivative
            back = self.matching.filter(pulled, at.particle)[..., None] * slope
            turning = torch.linalg.cross(sources, back, dim=-1).sum(-2)
            raw = torch.cat([turning, back.sum(-2), (pulled * model).sum(-1)[..., None], pulled.sum(-1)[..., None]], -1)
            values.append(at.factor[:, None] * penalty.sum(-1))
            gradients.append(at.factor[:, None, None] * (raw @ at.chain.mT))
        return torch.cat(values), torch.cat(gradients)

    def curvature(
        self, move: Float[Tensor, "problems 8"], terms: Integer[Tensor, " b"]
    ) -> tuple[Float[Tensor, "problems b"], Float[Tensor, "problems b 8"], Float[Tensor, "problems b 8 8"]]:
        """Each term's value, gradient and Gauss-Newton block."""
        values, gradients, blocks = [], [], []
        for chunk in self._chunks(len(terms), 16):
            at = self._at(move, chunk)
            sources, model, slope = self._model(at, terms)
            columns = torch.cat([torch.linalg.cross(sources, slope, dim=-1), slope, model[..., None]], -1)
            columns = self.matching.filter(columns.mT.contiguous(), at.particle)
            penalty, derivative, weight = self.loss.penalty(self._residual(at, columns[:, :, 6], terms))
            mask = self.matching.mask[terms].expand_as(penalty)
            columns = torch.cat([mask[:, :, None] * columns, mask[:, :, None]], 2)
            raw = (columns @ derivative[..., None])[..., 0]
            block = (columns * weight[:, :, None]) @ columns.mT
            chain = at.chain[:, None]
            values.append(at.factor[:, None] * penalty.sum(-1))
            gradients.append(at.factor[:, None, None] * (chain @ raw[..., None])[..., 0])
            blocks.append(at.factor[:, None, None, None] * (chain @ block @ chain.mT))
        return torch.cat(values), torch.cat(gradients), torch.cat(blocks)

    def _chunks(self, num_terms: int, channels: int) -> Iterator[Tensor]:
        """Indices of a few problems at a time, so that temporaries stay small."""
        size = max(1, _CHUNK // (num_terms * self.matching.mask.shape[1] * channels))
        return iter(torch.arange(len(self.poses), device=self.particle.device).split(size))

    def _at(self, move: Tensor, chunk: Tensor) -> _Standing:
        step = move[chunk]
        poses = self.poses[chunk].retract(step[:, :6])
        amplitude = self.calibration.amplitude[chunk] * step[:, 6].exp()
        # Derivatives of the residual by the move, from those by position in the reference's frame: turning by d on
        # the left changes the model by -d.R(y x grad), shifting by s by -s.R grad; the residual is minus the model.
        chain = torch.zeros(len(step), UNKNOWNS, UNKNOWNS, dtype=step.dtype, device=step.device)
        chain[:, :3, :3] = left_jacobian(step[:, :3]).mT @ poses.rotations
        chain[:, 3:6, 3:6] = poses.rotations
        chain[:, :6] *= amplitude[:, None, None]
        chain[:, 6, 6] = -amplitude
        chain[:, 7, 7] = -1
        particle = self.particle[chunk]
        offset = self.calibration.offset[chunk] + step[:, 7]
        return _Standing(poses, particle, amplitude, offset, chain, self.matching.independent[particle] / 2)

    def _model(self, at: _Standing, terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sources = self.matching.sources(at.poses.rotations[:, None], at.poses.shifts[:, None], terms)
        return sources, *self.matching.sample_with_gradient(sources, at.particle)

    def _residual(self, at: _Standing, model: Tensor, terms: Tensor) -> Tensor:
        observed = self.matching.observed[at.particle[:, None], terms]
        fitted = at.amplitude[:, None, None] * model + at.offset[:, None, None]
        return self.matching.mask[terms] * (observed - fitted)


@dataclass(frozen=True)
class _Standing:
    """Where a few problems stand: pose, amplitude, offset, the chain rule's matrix, and the scale of their terms."""

    poses: Poses
    particle: Tensor
    amplitude: Tensor
    offset: Tensor
    chain: Tensor
    factor: Tensor
