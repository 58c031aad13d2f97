"""How probable it is that another of a particle's candidates is the true pose."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Symmetry
from torchsag.likelihood.contenders import Contenders

_WITHIN = 12.592  # squared radius of the ellipsoid that holds 95 % of a Gaussian of six dimensions


def ambiguity(
    contenders: Contenders,
    chosen: Contenders,
    variance: Float[Tensor, " particles"],
    covariances: Float[Tensor, "particles 6 6"],
    same_angle: float,
    same_shift: float,
    symmetry: Symmetry,
) -> Float[Tensor, " particles"]:
    """Posterior probability of all optima of a particle but the chosen one; their widths are taken as alike.

    Parameters
    ----------
    contenders
        All candidates that are left.
    chosen
        One candidate of each particle, in the particles' order.
    variance
        Noise variance of each particle, in the units of the squared scores.
    covariances
        Of the chosen poses; NaN where not known. What lies within the uncertainty of the chosen pose has not arrived
        yet, but is no other optimum.
    same_angle, same_shift
        Candidates closer than this (radians and voxels, modulo symmetry) to the chosen one have found its optimum.
    """
    own = chosen.poses[contenders.particle]
    near = replace(contenders.poses, rotations=symmetry.nearest(contenders.poses.rotations, own.rotations))
    move = own.move_to(near)
    apart = (move[:, :3].norm(dim=-1) > same_angle) | (move[:, 3:].norm(dim=-1) > same_shift)
    apart &= ~(_mahalanobis(move, covariances[contenders.particle]) < _WITHIN)
    lost = 0.5 * (chosen.score.square()[contenders.particle] - contenders.score.square())
    weight = torch.where(apart, torch.exp(-lost / variance[contenders.particle]), 0)
    others = torch.zeros_like(variance).index_add_(0, contenders.particle, weight)
    return others / (1 + others)


def _mahalanobis(move: Float[Tensor, "moves 6"], covariances: Float[Tensor, "moves 6 6"]) -> Float[Tensor, " moves"]:
    """Squared length of moves in standard deviations; NaN where the covariance is."""
    factor, failed = torch.linalg.cholesky_ex(covariances.double())
    length = torch.linalg.solve_triangular(factor, move.double()[..., None], upper=False).square().sum((1, 2))
    return torch.where(failed == 0, length, torch.nan)
