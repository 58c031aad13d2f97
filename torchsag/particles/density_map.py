"""A map of scattering density with its scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError


@dataclass(frozen=True)
class DensityMap:
    """Density on a grid.

    Attributes
    ----------
    density
        Values, particle bright; any scale (alignment does not depend on it).
    voxel_size
        Angstrom per voxel.
    """

    density: Float[Tensor, "z y x"]
    voxel_size: float

    def __post_init__(self):
        if not self.voxel_size > 0:
            raise InputError(f"density map: expected a voxel size above 0 angstrom, got {self.voxel_size}")
        if not torch.isfinite(self.density).all():
            raise InputError("density map: expected finite values, got NaN or infinity")

    @property
    def box(self) -> tuple[int, int, int]:
        """Size (z, y, x) in voxels."""
        z, y, x = self.density.shape
        return z, y, x

    def mirrored(self) -> DensityMap:
        """The map of the other hand: x counted backwards about the box centre."""
        n = self.box[2]
        return DensityMap(self.density.flip(-1).roll(1 - n % 2, -1), self.voxel_size)

    def to(self, *args, **kwargs) -> DensityMap:
        """The same map in another dtype or on another device."""
        return DensityMap(self.density.to(*args, **kwargs), self.voxel_size)
