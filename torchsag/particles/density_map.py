"""A map of scattering density with its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import ArrayLike
from torchsag.errors import InputError
from torchsag.particles.arrays import as_float32, as_voxel_size


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

    @staticmethod
    def from_array(density: ArrayLike, voxel_size: float | int) -> DensityMap:
        """The map of an array ``[z, y, x]``, numpy or torch; kept as float32.

        Raises
        ------
        InputError
            If it is no such array, or the voxel size no length.
        """
        return DensityMap(as_float32("density", density, ("z", "y", "x")), as_voxel_size(voxel_size))

    def __post_init__(self):
        if not isinstance(self.density, Tensor) or self.density.ndim != 3:
            shape = list(self.density.shape) if isinstance(self.density, Tensor) else type(self.density).__name__
            raise InputError(
                f"density: expected a tensor [z, y, x], got {shape}; DensityMap.from_array takes other arrays"
            )
        number = isinstance(self.voxel_size, (int, float)) and not isinstance(self.voxel_size, bool)
        if not number or not self.voxel_size > 0:
            raise InputError(f"density map: expected a voxel size above 0 angstrom, got {self.voxel_size!r}")
        if not torch.isfinite(self.density).all():
            raise InputError("density map: expected finite values, got NaN or infinity")

    @property
    def box(self) -> tuple[int, int, int]:
        """Size (z, y, x) in voxels."""
        z, y, x = self.density.shape
        return z, y, x

    def mirrored(self, axis: Literal["x", "y", "z"] = "x") -> DensityMap:
        """The map of the other hand: an axis counted backwards about the box centre.

        Of the three axes x alone leaves the axes of every point group where RELION has them (z would turn T's).
        """
        place = "zyx".index(axis)
        return DensityMap(self.density.flip(place).roll(1 - self.box[place] % 2, place), self.voxel_size)

    def to(self, *args: Any, **kwargs: Any) -> DensityMap:
        """The same map in another dtype or on another device."""
        return DensityMap(self.density.to(*args, **kwargs), self.voxel_size)
