"""How to scale unknowns that differ in unit, such as radians and voxels, so that all are curved alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.optim.normal_equations import require_curvature
from torchsag.optim.objective import Objective
from torchsag.requirements import is_real


@runtime_checkable
class Scaling(Protocol):
    """Chooses a basis whose columns are moves of comparable effect."""

    def basis(
        self, objective: Objective, move: Float[Tensor, "problems n"]
    ) -> tuple[Float[Tensor, "problems n n"], int]:
        """The basis around `move`, and the term evaluations it cost."""
        ...


@dataclass(frozen=True)
class LengthScaling:
    """Rotations measured by how far they move a point at a given distance from the centre.

    For tangent moves: rotation vector (radians), then shift (voxels); both count in voxels afterwards. Unknowns that
    follow, such as an amplitude, keep their unit.

    Attributes
    ----------
    length
        What a turn of one radian moves by one voxel each: the radius of gyration of the reference. One for all
        problems, or one for each.
    """

    length: float | Float[Tensor, " problems"]

    def __post_init__(self):
        if isinstance(self.length, Tensor):
            usable = bool(((self.length > 0) & self.length.isfinite()).all())
        else:
            usable = is_real(self.length) and 0 < self.length < torch.inf
        if not usable:
            raise InputError(
                f"length must be positive and finite (voxels), got {self.length!r}; give the particle's radius"
            )

    def basis(
        self, objective: Objective, move: Float[Tensor, "problems n"]
    ) -> tuple[Float[Tensor, "problems n n"], int]:
        """Diagonal; costs nothing."""
        unknowns = move.shape[-1]
        if unknowns < 6:
            raise InputError(f"LengthScaling needs moves of 3 rotations and 3 shifts, got {unknowns} unknowns")
        scales = torch.ones_like(move)
        scales[:, :3] = 1 / torch.as_tensor(self.length).to(move).reshape(-1, 1)
        return torch.diag_embed(scales), 0


@dataclass(frozen=True)
class Whitening:
    """Unknowns in which the mean Gauss-Newton matrix at the start is the identity: the best linear scaling there is.

    If J is minus the log-likelihood divided by the number of terms, the matrix is the Fisher matrix over that number.
    Costs one pass.

    Attributes
    ----------
    damping
        Least curvature of a direction relative to each unknown's own, positive: bounds the moves along directions
        that the data do not determine.
    """

    damping: float = 1e-3

    def __post_init__(self):
        if not is_real(self.damping) or not self.damping > 0:
            raise InputError(f"damping must be positive, got {self.damping!r}; 1e-3 suits well-determined problems")

    def basis(
        self, objective: Objective, move: Float[Tensor, "problems n"]
    ) -> tuple[Float[Tensor, "problems n n"], int]:
        """Inverse transposed Cholesky factors of the damped mean block; InputError without curvature."""
        everything = torch.arange(objective.num_terms, device=move.device)
        _, _, blocks = require_curvature(objective, "Whitening").curvature(move, everything)
        return whitening_basis(blocks.mean(1), self.damping), objective.num_terms


def whitening_basis(curvature: Float[Tensor, "problems n n"], damping: float) -> Float[Tensor, "problems n n"]:
    """A basis A with ``A^T (H + damping * diag H) A = 1``; an unknown without curvature keeps its unit."""
    diagonal = curvature.diagonal(dim1=-2, dim2=-1)
    flat = ~(diagonal > torch.finfo(curvature.dtype).tiny)  # Not a number counts as flat.
    scale = torch.where(flat, 1.0, diagonal.clamp_min(torch.finfo(curvature.dtype).tiny).rsqrt())
    unit = scale[:, :, None] * curvature * scale[:, None, :]
    unit = unit + torch.diag_embed(torch.where(flat, 1.0, damping).to(unit.dtype))
    factor, failed = torch.linalg.cholesky_ex(unit)
    eye = torch.eye(unit.shape[-1], dtype=unit.dtype, device=unit.device).expand_as(unit)
    factor = torch.where((failed == 0)[:, None, None], factor, eye)  # One problem of NaNs must not stop the others.
    return scale[:, :, None] * torch.linalg.solve_triangular(factor, eye, upper=False).mT
