"""Which candidate of each particle is refined next, and which are the same (Xu & Alber 2012).

Better candidates are drawn more often, so that effort goes where it pays, and none is given up before it has met a
better one on its way.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from torchsag.geometry import Poses


def draw_candidates(
    distance: Float[Tensor, "particles candidates"], active: Bool[Tensor, "particles candidates"], uniform: float
) -> Integer[Tensor, " particles"]:
    """One active candidate of each particle.

    Sorted from the worst to the best of K, weights are ``w_1 = 1, w_i = w_{i-1} max(s, d_{i-1} / d_i)`` with
    ``s = 10^(10 / (K - 1))``. At least one candidate of each particle must be active; `uniform` is from [0, 1).
    """
    waiting = torch.where(active, distance, torch.inf)
    order = waiting.argsort(dim=1, descending=True, stable=True)  # inactive ones first
    ordered = waiting.gather(1, order).clamp_min(1e-12)
    count = active.sum(1)
    least = 10 / (count - 1).clamp_min(1) * torch.log(torch.tensor(10.0))
    ratio = torch.log(ordered[:, :-1] / ordered[:, 1:])
    growth = torch.where(ordered[:, :-1].isfinite(), torch.maximum(ratio, least.to(ratio)[:, None]), 0)
    weight = torch.cat([torch.zeros_like(growth[:, :1]), growth], 1).cumsum(1)
    chance = torch.where(ordered.isfinite(), weight, -torch.inf).softmax(1).cumsum(1)
    place = (chance <= uniform).sum(1).clamp_max(distance.shape[1] - 1)
    return order.gather(1, place[:, None])[:, 0]


def pose_gap(first: Poses, second: Poses) -> Float[Tensor, "*batch"]:
    """Root of the summed squared distances between the places where two poses put the tips of the three unit vectors.

    Xu & Alber's Frobenius norm ``|R_1 (I - tau_1 1^T) - R_2 (I - tau_2 1^T)|`` in this library's poses. One is a turn
    by 41 degrees, or a shift of 0.6 voxels.
    """
    tips = first.rotations + first.shifts[..., :, None] - second.rotations - second.shifts[..., :, None]
    return tips.square().sum((-2, -1)).sqrt()
