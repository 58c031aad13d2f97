"""What is known of particles without reading them, as columns of a table with units in their names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses

Column = Sequence[str] | Sequence[int] | Sequence[float]


def place_columns(places: Float[Tensor, "particles 3"]) -> dict[str, Column]:
    """Places in angstrom: ``{x,y,z}_angstrom``."""
    return _columns("{}_angstrom", "xyz", places)


def pose_columns(poses: Poses, voxel_size: float) -> dict[str, Column]:
    """ZYZ Euler angles ``{rot,tilt,psi}_deg`` and ``shift_{x,y,z}_angstrom``."""
    angles = _columns("{}_deg", ("rot", "tilt", "psi"), torch.rad2deg(poses.zyz))
    return angles | _columns("shift_{}_angstrom", "xyz", poses.shifts * voxel_size)


def _columns(name: str, axes: Sequence[str], values: Float[Tensor, "particles axes"]) -> dict[str, Column]:
    return {name.format(axis): column.tolist() for axis, column in zip(axes, values.unbind(-1), strict=True)}
