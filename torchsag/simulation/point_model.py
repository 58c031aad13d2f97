"""A structure as points that scatter: atoms, or the blobs of a phantom."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.axes import Rotations
from torchsag.errors import InputError


@dataclass(frozen=True)
class PointModel:
    """Points with isotropic scattering.

    Attributes
    ----------
    positions
        (x, y, z) in angstrom; the origin becomes the box centre.
    amplitudes
        Factor of each point (occupancy, or the mass of a blob).
    kind
        Which row of `form_factors` each point uses.
    form_factors
        Per kind, a sum of Gaussians ``f(s) = sum_i a_i exp(-b_i s^2)`` of the spatial frequency s = 1/d (1/angstrom):
        rows (a_i, b_i in square angstrom). A blob of standard deviation sigma is one Gaussian with b = 2 pi^2 sigma^2.
    name
        How to call the structure in messages.
    """

    positions: Float[Tensor, "points 3"]
    amplitudes: Float[Tensor, " points"]
    kind: Integer[Tensor, " points"]
    form_factors: Float[Tensor, "kinds gaussians 2"]
    name: str

    def __post_init__(self):
        if len(self.positions) == 0:
            raise InputError(f"{self.name}: expected a structure with at least one atom, got none")

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def radius_angstrom(self) -> float:
        """Distance of the farthest point from the origin."""
        return float(self.positions.norm(dim=-1).max())

    def turned(self, rotation: Rotations) -> PointModel:
        """The same structure rotated about the origin."""
        turned = self.positions @ rotation.to(self.positions).mT
        return PointModel(turned, self.amplitudes, self.kind, self.form_factors, self.name)
