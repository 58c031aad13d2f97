"""The rotation nearest to a matrix, with the derivatives that it has.

The derivative of a singular value decomposition is infinite where singular values coincide, and those of a rotation
all do, although the nearest rotation is smooth there. So the decomposition is no part of what autograd sees: it gives
the solution, and two steps of Newton's method from it the derivatives of first and second order (each step doubles the
order that is right).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Rotations
from torchsag.errors import InputError
from torchsag.geometry.cross_product import cross_matrix, twice_sine_axis
from torchsag.geometry.precision import exact_product
from torchsag.recording import is_recorded

# Singular values whose sum is this small beside the largest leave the nearest rotation open.
_OPEN_BELOW = 16


def nearest_rotation(matrix: Rotations) -> Rotations:
    """Orthogonal Procrustes without reflections (Kabsch, Acta Cryst. A34, 1978).

    Where several rotations are nearest, as to a matrix of rank one, it is one of them and its derivative is zero.

    Raises
    ------
    InputError
        If a matrix is not finite.
    """
    try:
        left, stretches, right = torch.linalg.svd(matrix.detach())
    except torch.linalg.LinAlgError:
        raise InputError("matrices: expected finite numbers, got NaN or infinity") from None
    hand = torch.linalg.det(exact_product(left, right))
    signs = torch.stack([torch.ones_like(hand), torch.ones_like(hand), hand], -1)
    found = exact_product(left * signs[..., None, :], right)
    if not is_recorded(matrix):
        return found
    least = stretches[..., 1] + hand * stretches[..., 2]
    sure = least > _OPEN_BELOW * torch.finfo(matrix.dtype).eps * stretches[..., 0]
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    for _ in range(2):
        stretch = torch.where(sure[..., None, None], exact_product(found.mT, matrix), eye)
        found = exact_product(found, _turn_to_symmetric(stretch))
    return found


def _turn_to_symmetric(stretch: Float[Tensor, "*batch 3 3"]) -> Rotations:
    """The rotation T for which ``T^T A`` is symmetric to first order in its angle.

    ``[w] A + A^T [w] = [(tr(A) 1 - A) w]`` has to make up for ``A - A^T`` where T turns by w. T is Cayley's transform,
    which is a rotation exactly and needs no angle.
    """
    trace = stretch.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(3, dtype=stretch.dtype, device=stretch.device)
    half = cross_matrix(torch.linalg.solve(trace * eye - stretch, twice_sine_axis(stretch))) / 2
    return torch.linalg.solve(eye - half, eye + half)
