"""Pick the best of many scored rotations, no two close together."""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Symmetry


def select_separated(
    scores: Float[Tensor, "particles rotations"],
    rotations: Float[Tensor, "rotations 3 3"],
    count: int,
    separation: float,
    symmetry: Symmetry,
) -> tuple[Integer[Tensor, "particles count"], Float[Tensor, "particles count"]]:
    """Greedy non-maximum suppression on SO(3), modulo symmetry.

    Takes the best rotation, discards all within `separation` (radians) of it or of its symmetry equivalents, and so on.
    When nothing is left, the best is repeated with score ``-inf``.

    Returns
    -------
    index and score of the chosen rotations, best first.
    """
    remaining = scores.clone()
    flat = rotations.reshape(len(rotations), 9)
    group = symmetry.rotations.to(rotations)
    closeness = 1 + 2 * math.cos(separation)  # trace of a rotation by `separation`
    chosen, chosen_scores = [], []
    for _ in range(count):
        best, index = remaining.max(-1)
        equivalents = rotations[index][:, None] @ group  # [particles, group, 3, 3]
        trace = torch.einsum("rk,pgk->pgr", flat, equivalents.flatten(-2)).amax(1)
        remaining.masked_fill_(trace > closeness, -math.inf)
        chosen.append(index)
        chosen_scores.append(best)
    index, best = torch.stack(chosen, -1), torch.stack(chosen_scores, -1)
    return torch.where(best.isfinite(), index, index[:, :1]), best
