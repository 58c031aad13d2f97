"""How uncertain a pose is, given its particle: the Gaussian about an optimum that is nearest to the posterior.

The Fisher matrix at the optimum describes the likelihood in the limit of small errors. Over errors of a few degrees the
model bends, and a Gaussian of that width is too narrow. The Gaussian N(m, S) about m that is nearest to the posterior
(in relative entropy; Opper & Archambeau, Neural Computation 21:786, 2009) obeys

    S^-1 = -E[hessian log p] = -S^-1 E[(x - m) grad log p]

with expectations over N(m, S) itself, so over as much of the likelihood as the particle leaves open. The third-degree
spherical rule (twelve points at +-sqrt(6) standard deviations along the axes of S) takes them from gradients alone;
one step from the Fisher matrix suffices, a second changes the covariance by less than a percent. The Gaussian stays
about the optimum: its own mean would be no better where errors are small, and is far worse where they are large.

The Fisher matrix comes from all coefficients of the band. How the likelihood bends away from it is a correction, and
some of a wide band's random blocks tell it as well as all: their curvature counts in units of their own Fisher matrix.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.geometry.rotations import left_jacobian
from torchsag.likelihood.fisher import fisher_information, log_likelihood_gradient
from torchsag.likelihood.levels import Level
from torchsag.likelihood.observations import Observations

EVALUATIONS = 12  # of a particle's data or part of it, per pose
_ENOUGH = 8192  # coefficients; with fewer the noise of their own curvature would be seen in the covariance
_RADIUS = 6**0.5
# Curvature along an axis, in units of the Fisher matrix, that is believed; beyond, the optimum is hardly one.
_LOWEST, _HIGHEST = 0.1, 10.0
# Part of the correction that is common to all six directions. How the likelihood bends along each is measured in noise,
# and where it seems steeper than it is errors are underrated: ellipsoids of 95 % of such corrections held 94 % of 3200
# poses (experiments/benchmarks/inexact_references.py --particles 400 --seed 101), with a quarter in common 95 %.
_SHARED = 0.25


def posterior_covariance(
    level: Level,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    variance: Float[Tensor, " poses"],
    fisher_covariance: Float[Tensor, "poses 6 6"],
) -> Float[Tensor, "poses 6 6"]:
    """Covariance (tangent moves: radians, voxels) of the Gaussian about each pose that is nearest to its posterior.

    Parameters
    ----------
    level, observed
        Band, model and data.
    poses
        Optima.
    particle
        Which particle each belongs to.
    variance
        Noise variance, per pose.
    fisher_covariance
        Inverse Fisher matrix at the optimum; where it is NaN, so is the result.
    """
    known = fisher_covariance.isfinite().flatten(1).all(1)
    if not bool(known.any()):
        return fisher_covariance
    level = _finely_divided(level)
    rows = known.nonzero()[:, 0]
    scale = torch.linalg.cholesky(fisher_covariance[rows].double())
    terms = torch.arange(_blocks_for(level, _ENOUGH))
    gradients = _gradients_around(level, observed, poses[rows], particle[rows], variance[rows], scale, terms)
    ahead, behind = gradients[:, :6], gradients[:, 6:]
    curvature = (behind - ahead) / (2 * _RADIUS)
    if len(terms) < level.band.num_blocks:
        unit = _in_units_of(level, observed, poses[rows], particle[rows], variance[rows], scale, terms)
        curvature = unit @ curvature @ unit.mT
    values, axes = torch.linalg.eigh(0.5 * (curvature + curvature.mT))
    spread = values.clamp(_LOWEST, _HIGHEST).reciprocal()
    spread = torch.lerp(spread, spread.mean(-1, keepdim=True), _SHARED)
    inverse = axes @ torch.diag_embed(spread) @ axes.mT
    covariance = fisher_covariance.clone()
    covariance[rows] = (scale @ inverse @ scale.mT).to(covariance)
    return covariance


def spread_points(poses: Poses, scale: Float[Tensor, "poses 6 6"]) -> tuple[Poses, Float[Tensor, "points 6"]]:
    """The rule's twelve points of each pose in a row, all of the same weight, and the moves that lead to them.

    `scale` is a square root of the Gaussian's covariance, such as its Cholesky factor.
    """
    moves = (_RADIUS * torch.cat([scale.mT, -scale.mT], 1)).to(poses.shifts).flatten(0, 1)
    each = torch.arange(len(poses), device=moves.device).repeat_interleave(EVALUATIONS)
    return poses[each].retract(moves), moves


def _gradients_around(
    level: Level,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    variance: Float[Tensor, " poses"],
    scale: Float[Tensor, "poses 6 6"],
    terms: Integer[Tensor, " terms"],
) -> Float[Tensor, "poses 12 6"]:
    """Gradients of the log-likelihood at the rule's points, by coordinates in which `scale` is the unit matrix."""
    points, moves = spread_points(poses, scale)
    each = torch.arange(len(poses), device=particle.device).repeat_interleave(EVALUATIONS)
    sums = level.sums(observed, points, particle[each], terms, order=1)
    gradient = log_likelihood_gradient(sums, variance[each])
    # From the tangent at each point, where the sums live, to the one in which the step was taken.
    turning = (gradient[:, None, :3] @ left_jacobian(moves[:, :3]))[:, 0]
    gradient = torch.cat([turning, gradient[:, 3:]], 1).unflatten(0, (len(poses), EVALUATIONS))
    return gradient.double() @ scale


def _finely_divided(level: Level) -> Level:
    """The level with blocks small enough to take no more of a wide band than is needed."""
    return replace(level, band=level.band.quartered) if len(level.band) > _ENOUGH else level


def _blocks_for(level: Level, coefficients: int) -> int:
    """How many of a band's blocks hold so many coefficients; all of a narrow band's."""
    blocks = level.band.num_blocks
    return min(blocks, math.ceil(blocks * coefficients / len(level.band)))


def _in_units_of(
    level: Level,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    variance: Float[Tensor, " poses"],
    scale: Float[Tensor, "poses 6 6"],
    terms: Integer[Tensor, " terms"],
) -> Float[Tensor, "poses 6 6"]:
    """Inverse square root of the Fisher matrix of these blocks, in coordinates in which `scale` is the unit matrix."""
    sums = level.sums(observed, poses, particle, terms)
    fisher = scale.mT @ fisher_information(sums, sums.amplitude[:, 0], variance).double() @ scale
    values, axes = torch.linalg.eigh(fisher)
    least = 0.1 * len(terms) / level.band.num_blocks
    return axes @ torch.diag_embed(values.clamp_min(least).rsqrt()) @ axes.mT
