"""Poses as parameters: three ways to write a rotation, each a module that gives `Poses` when called.

Which one? Euler angles are what lists hold, but singular at tilt 0 and pi. Tangent moves are the best unknowns of an
optimizer: no singularity within half a turn of the start, and `rebase` moves the start along. Six numbers (two columns,
made orthonormal) are what networks should predict: continuous everywhere (Zhou et al. 2019, CVPR, 5738).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from torchsag.axes import Rotations, Vectors
from torchsag.geometry import Poses, zyz_to_matrix
from torchsag.geometry.coordinates import require_coordinates
from torchsag.geometry.poses import require_row
from torchsag.geometry.rotations import project_to_rotation
from torchsag.nn.rows import rows


class EulerPoses(nn.Module):
    """Poses by ZYZ Euler angles (rot, tilt, psi) as RELION's, in radians.

    Attributes
    ----------
    zyz_rad
        Parameter, radians.
    shift_voxels
        Parameter, voxels.
    """

    def __init__(self, start: Poses):
        super().__init__()
        require_row("start", start)
        self.zyz_rad = nn.Parameter(start.zyz.detach().clone())
        self.shift_voxels = nn.Parameter(start.shifts.detach().clone())

    def __len__(self) -> int:
        return len(self.shift_voxels)

    def forward(self, index: Any = slice(None)) -> Poses:
        """The poses of some particles, by default of all."""
        return Poses(zyz_to_matrix(rows("poses", self.zyz_rad, index)), rows("poses", self.shift_voxels, index))


class TangentPoses(nn.Module):
    """Poses by moves from a start: ``R = exp(rotvec) R_start``, ``t = t_start + shift``.

    Attributes
    ----------
    rotvec_rad
        Parameter, zero at the start: rotation vector on the left, radians.
    move_voxels
        Parameter, zero at the start: shift, voxels.
    start_rotations, start_shifts
        Buffers: the start.
    """

    start_rotations: Tensor
    start_shifts: Tensor

    def __init__(self, start: Poses):
        super().__init__()
        require_row("start", start)
        self.register_buffer("start_rotations", start.rotations.detach().clone())
        self.register_buffer("start_shifts", start.shifts.detach().clone())
        self.rotvec_rad = nn.Parameter(torch.zeros_like(start.shifts))
        self.move_voxels = nn.Parameter(torch.zeros_like(start.shifts))

    def __len__(self) -> int:
        return len(self.start_shifts)

    def forward(self, index: Any = slice(None)) -> Poses:
        """The poses of some particles, by default of all."""
        start = Poses(rows("poses", self.start_rotations, index), rows("poses", self.start_shifts, index))
        move = torch.cat([self.rotvec_rad, self.move_voxels], -1)
        return start.retract(rows("poses", move, index))

    @torch.no_grad()
    def rebase(self) -> None:
        """Let the present poses be the start; what an optimizer remembers of earlier gradients is then of old axes."""
        now = self()
        self.start_rotations.copy_(project_to_rotation(now.rotations))
        self.start_shifts.copy_(now.shifts)
        self.rotvec_rad.zero_()
        self.move_voxels.zero_()


class SixDPoses(nn.Module):
    """Poses by two columns of the rotation, made orthonormal.

    Attributes
    ----------
    columns
        Parameter, without unit: first and second column of R, ``[particles, 2, 3]``.
    shift_voxels
        Parameter, voxels.
    """

    def __init__(self, start: Poses):
        super().__init__()
        require_row("start", start)
        self.columns = nn.Parameter(start.rotations.detach()[..., :2].mT.clone())
        self.shift_voxels = nn.Parameter(start.shifts.detach().clone())

    def __len__(self) -> int:
        return len(self.shift_voxels)

    def forward(self, index: Any = slice(None)) -> Poses:
        """The poses of some particles, by default of all."""
        columns = rows("poses", self.columns, index)
        return Poses(six_to_matrix(columns.flatten(-2)), rows("poses", self.shift_voxels, index))


def six_to_matrix(six: Float[Tensor, "*batch 6"]) -> Rotations:
    """The rotation whose first column lies along the first three numbers and whose second is nearest to the others.

    Gram-Schmidt; undefined, and not a number, where the two are parallel or zero.
    """
    require_coordinates("six numbers of a rotation", six, 6)
    first = _unit(six[..., :3])
    second = six[..., 3:]
    second = _unit(second - (first * second).sum(-1, keepdim=True) * first)
    return torch.stack([first, second, torch.linalg.cross(first, second, dim=-1)], -1)


def _unit(vector: Vectors) -> Vectors:
    return vector / vector.norm(dim=-1, keepdim=True)
