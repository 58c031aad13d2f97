"""The peak of a score over rotations, finer than the grid it was found on."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses, rotvec_to_matrix


def sub_grid_peak(score: Callable[[Poses], Float[Tensor, " poses"]], poses: Poses, step: float) -> Poses:
    """Turn each pose to the top of a paraboloid through the scores of 19 rotations around it.

    Where the paraboloid has no top within reach, the best of the 19 is taken. Shifts stay.

    Parameters
    ----------
    score
        Evaluates poses; called once, with the 19 of each pose in a row.
    poses
        Where to look.
    step
        Angle between neighbouring rotations tried, radians.
    """
    stencil, solve = _stencil()
    stencil, solve = stencil.to(poses.shifts), solve.to(poses.shifts)
    tried = Poses(
        (rotvec_to_matrix(step * stencil) @ poses.rotations[:, None]).flatten(0, 1),
        poses.shifts.repeat_interleave(len(stencil), 0),
    )
    values = score(tried).unflatten(0, (len(poses), -1))
    fit = (values - values[:, :1]) @ solve.T
    rows, columns = torch.triu_indices(3, 3)
    curvature = values.new_zeros(len(poses), 3, 3)
    curvature[:, rows, columns] = curvature[:, columns, rows] = fit[:, 4:]
    bends, axes = torch.linalg.eigh(curvature)
    slope = (fit[:, None, 1:4] @ axes)[:, 0]
    top = (axes @ (slope / (-bends).clamp_min(1e-12))[..., None])[..., 0]
    usable = (bends < 0).all(1) & (top.norm(dim=1) <= 2)
    turn = torch.where(usable[:, None], top, stencil[values.argmax(1)])
    return Poses(rotvec_to_matrix(step * turn) @ poses.rotations, poses.shifts)


def _stencil() -> tuple[Float[Tensor, "19 3"], Float[Tensor, "10 19"]]:
    """The centre, 6 faces and 12 edges of a cube, and what fits a paraboloid through values there."""
    cube = torch.tensor(list(itertools.product((0.0, 1.0, -1.0), repeat=3)), dtype=torch.float64)
    points = cube[cube.abs().sum(1) <= 2]
    x, y, z = points.unbind(1)
    # value = c + g.r + r.H r / 2, the upper triangle of H row by row
    terms = [torch.ones_like(x), x, y, z, x * x / 2, x * y, x * z, y * y / 2, y * z, z * z / 2]
    return points, torch.linalg.pinv(torch.stack(terms, 1))
