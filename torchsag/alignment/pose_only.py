"""Results of methods that give a pose and its correlation, no uncertainty."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses
from torchsag.scoring.observations import Observations


def pose_only(
    observed: Observations,
    poses: Poses,
    matched: Float[Tensor, " particles"],
    converged: Bool[Tensor, " particles"],
    passes: Float[Tensor, " particles"],
) -> AlignmentResult:
    """One pose per particle, with its matched filter ``cross / sqrt(energy)`` over the band that was observed."""
    power = observed.power.sum(-1).clamp_min(torch.finfo(matched.dtype).tiny)
    return AlignmentResult(
        poses=poses,
        scores=matched * power.rsqrt(),
        covariances=matched.new_full((len(poses), 6, 6), torch.nan),
        ambiguity=torch.full_like(matched, torch.nan),
        converged=converged,
        passes=passes,
    )
