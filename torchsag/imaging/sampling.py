"""Place a volume at poses by reading it between its voxels; whole volumes, or only the voxels one asks for.

A voxel at position r relative to the box centre shows the reference at ``R^T (r - t)``: the cost is that of the voxels
asked for, which is what makes one slice of a placed volume cheap.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.geometry.poses import require_row
from torchsag.geometry.precision import exact_product
from torchsag.imaging.interpolation import Interpolant
from torchsag.requirements import require_box

AXIS_NAMES = ("z", "y", "x")


def voxel_positions(
    box: Box, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "z y x 3"]:
    """Positions ``(x, y, z)`` of all voxels relative to the box centre ``n // 2``."""
    axes = [torch.arange(n, device=device, dtype=dtype) - n // 2 for n in box]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)


def plane_positions(
    box: Box, axis: str, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "planes rows columns 3"]:
    """`voxel_positions` as a stack of planes perpendicular to `axis`, which is ``"z"``, ``"y"`` or ``"x"``.

    The two other axes keep their order: planes of constant y have rows z and columns x.
    """
    if axis not in AXIS_NAMES:
        raise InputError(f"planes: expected axis x, y or z, got {axis!r}")
    return voxel_positions(box, device, dtype).movedim(AXIS_NAMES.index(axis), 0)


def source_points(poses: Poses, positions: Float[Tensor, "*grid 3"]) -> Float[Tensor, "poses *grid 3"]:
    """Where in the reference each position of each particle comes from: ``R^T (r - t)``; differentiable."""
    flat = positions.reshape(-1, 3)
    # Row vectors: (R^T r)^T = r^T R.
    points = exact_product(flat, poses.rotations) - exact_product(poses.shifts[:, None, :], poses.rotations)
    return points.unflatten(1, positions.shape[:-1])


def place(reference: Interpolant, poses: Poses, box: Box) -> Float[Tensor, "poses z y x"]:
    """The reference at each pose, rotated about the box centre and then shifted; differentiable.

    `box` need not be the reference's own: centres are laid on each other.
    """
    if not callable(reference) or isinstance(reference, torch.nn.Module):
        raise InputError(
            f"reference: expected an interpolant as CubicSpline(2).prepare(density), got {type(reference).__name__}"
        )
    require_row("poses", poses)
    require_box("box", box)
    positions = voxel_positions(box, poses.shifts.device, poses.shifts.dtype)
    return reference(source_points(poses, positions))
