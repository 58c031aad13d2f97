"""Rotations, poses, symmetry and the rotation group: no volumes here."""

from torchsag.geometry.poses import Poses
from torchsag.geometry.rotations import (
    matrix_to_zyz,
    random_rotations,
    rotation_distance,
    rotvec_to_matrix,
    zyz_to_matrix,
)
from torchsag.geometry.symmetry import Symmetry

__all__ = [
    "Poses",
    "Symmetry",
    "matrix_to_zyz",
    "random_rotations",
    "rotation_distance",
    "rotvec_to_matrix",
    "zyz_to_matrix",
]
