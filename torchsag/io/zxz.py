"""The Euler angles of the TOM family (AV3, STOPGAP, PyTom, Dynamo).

``(phi, psi, theta)`` turn the reference by phi about z, then by theta about x, then by psi about z:
``R = Rz(psi) Rx(theta) Rz(phi)``, active. Dynamo lists the inverse turn: its ``(tdrot, narot,
tilt)`` are the (phi, psi, theta) of ``R^T``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry.rotations import axis_rotation, matrix_to_zyz


def zxz_to_matrix(angles_deg: Float[Tensor, "rows 3"]) -> Float[Tensor, "rows 3 3"]:
    """Matrices from (phi, psi, theta), degrees."""
    phi, psi, theta = torch.deg2rad(angles_deg).unbind(-1)
    return axis_rotation("z", psi) @ axis_rotation("x", theta) @ axis_rotation("z", phi)


def matrix_to_zxz(rotations: Float[Tensor, "rows 3 3"]) -> Float[Tensor, "rows 3"]:
    """(phi, psi, theta) in degrees, theta in [0, 180], phi and psi in [-180, 180)."""
    # Rx(a) = Rz(-90) Ry(a) Rz(90) turns one convention into the other.
    rot, tilt, psi = matrix_to_zyz(rotations).unbind(-1)
    quarter = math.pi / 2
    degrees = torch.rad2deg(torch.stack([quarter - rot, -quarter - psi, tilt], -1))
    degrees[..., :2] = (degrees[..., :2] + 180) % 360 - 180
    return degrees
