"""Damped Gauss-Newton steps, many small systems at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.objective import LeastSquaresObjective, Objective


def require_curvature(objective: Objective, method: str) -> LeastSquaresObjective:
    """The objective, if its terms are squared residuals; InputError otherwise."""
    if isinstance(objective, LeastSquaresObjective):
        return objective
    raise InputError(
        f"{method} needs a loss with Gauss-Newton curvature (a method `curvature`), "
        f"but {type(objective).__name__} has none; choose a least-squares loss or an optimizer of gradients such as SAG"
    )


def damped_step(
    curvature: Float[Tensor, "problems n n"],
    gradient: Float[Tensor, "problems n"],
    damping: Float[Tensor, " problems"] | float,
) -> Float[Tensor, "problems n"]:
    """Solve ``(H + damping * diag H) step = -g`` (Marquardt 1963).

    The system is solved for unknowns scaled to unit curvature, so that radians and voxels need no common scale.
    An unknown without curvature does not move, nor does a problem whose numbers are not finite.
    """
    diagonal = curvature.diagonal(dim1=-2, dim2=-1)
    tiny = torch.finfo(curvature.dtype).tiny
    scale = torch.where(diagonal > tiny, diagonal.clamp_min(tiny).rsqrt(), 0.0)
    unit = scale[:, :, None] * curvature * scale[:, None, :]
    # Rounding may leave a rank-deficient block slightly indefinite; a few units of it are always added.
    least = 10 * curvature.shape[-1] * torch.finfo(curvature.dtype).eps
    added = torch.as_tensor(damping, dtype=unit.dtype, device=unit.device).clamp_min(least)
    eye = torch.eye(unit.shape[-1], dtype=unit.dtype, device=unit.device)
    unit = unit + added[..., None, None] * eye + torch.diag_embed((scale == 0).to(unit.dtype))
    factor, failed = torch.linalg.cholesky_ex(unit)
    step = -scale * torch.cholesky_solve((scale * gradient)[..., None], factor)[..., 0]
    usable = (failed == 0) & step.isfinite().all(-1)
    return torch.where(usable[:, None], step, 0.0)


def cap_step(step: Float[Tensor, "problems n"], radius: float) -> Float[Tensor, "problems n"]:
    """Shorten steps longer than `radius` to that length."""
    length = step.norm(dim=-1, keepdim=True)
    return step * (radius / length.clamp_min(torch.finfo(step.dtype).tiny)).clamp_max(1.0)
