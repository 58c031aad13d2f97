"""Vectors as the matrices of their cross products, and back."""

from __future__ import annotations

import torch

from torchsag.axes import Rotations, Vectors
from torchsag.geometry.coordinates import require_coordinates


def cross_matrix(vector: Vectors) -> Rotations:
    """The matrix of ``u -> vector x u``."""
    require_coordinates("vectors", vector, 3)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def twice_sine_axis(rotation: Rotations) -> Vectors:
    """The axis times twice the sine of the angle."""
    across = rotation - rotation.mT
    return torch.stack([across[..., 2, 1], across[..., 0, 2], across[..., 1, 0]], -1)
