"""Masks as components: where in the box the particle is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.imaging.map_mask import mask_from_map
from torchsag.imaging.masks import cylindrical_mask, spherical_mask
from torchsag.io import read_map
from torchsag.particles import DensityMap


@runtime_checkable
class Mask(Protocol):
    """A soft mask, 0 to 1: a frozen dataclass and one yaml under ``conf/mask``."""

    def __call__(self, half_map: DensityMap, resolution_angstrom: float) -> Float[Tensor, "z y x"]:
        """The mask for a half-map that is known to this resolution."""
        ...


@dataclass(frozen=True)
class SphericalMask:
    """A soft sphere about the box centre.

    Attributes
    ----------
    diameter_angstrom
        Where the mask has fallen to one half; None takes the largest sphere in the box.
    edge_angstrom
        Width of the edge; None takes four voxels.
    """

    diameter_angstrom: float | None = None
    edge_angstrom: float | None = None

    def __post_init__(self):
        for name in ("diameter_angstrom", "edge_angstrom"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name}: expected a length above 0, got {value}")

    def __call__(self, half_map: DensityMap, resolution_angstrom: float) -> Float[Tensor, "z y x"]:
        """The same sphere for every map."""
        edge = 4.0 if self.edge_angstrom is None else self.edge_angstrom / half_map.voxel_size
        radius = None if self.diameter_angstrom is None else self.diameter_angstrom / 2 / half_map.voxel_size
        return spherical_mask(half_map.box, radius, edge, half_map.density.device)


@dataclass(frozen=True)
class CylindricalMask:
    """A soft cylinder about the box's z axis.

    Attributes
    ----------
    diameter_angstrom, height_angstrom
        Where the mask has fallen to one half; None takes the largest that the box holds.
    edge_angstrom
        Width of the edge; None takes four voxels.
    """

    diameter_angstrom: float | None = None
    height_angstrom: float | None = None
    edge_angstrom: float | None = None

    def __post_init__(self):
        for name in ("diameter_angstrom", "height_angstrom", "edge_angstrom"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"mask.{name}: expected a length above 0, got {value}")

    def __call__(self, half_map: DensityMap, resolution_angstrom: float) -> Float[Tensor, "z y x"]:
        """The same cylinder for every map."""
        voxel = half_map.voxel_size
        edge = 4.0 if self.edge_angstrom is None else self.edge_angstrom / voxel
        radius, half_height = (
            None if length is None else length / 2 / voxel for length in (self.diameter_angstrom, self.height_angstrom)
        )
        return cylindrical_mask(half_map.box, radius, half_height, edge, half_map.density.device)


@dataclass(frozen=True)
class MaskFromMap:
    """Drawn anew around each half's own map, so that no outline crosses between the halves.

    Attributes
    ----------
    low_pass_angstrom
        Resolution at which the outline is drawn, or that of the map where it is worse.
    grow_angstrom
        Added all around.
    edge_angstrom
        Width of the soft edge.
    threshold
        Density that counts as particle, in the low-passed map; None finds it by Otsu's rule.
    """

    low_pass_angstrom: float = 40.0
    grow_angstrom: float = 20.0
    edge_angstrom: float = 25.0
    threshold: float | None = None

    def __post_init__(self):
        if not (self.low_pass_angstrom > 0 and self.grow_angstrom >= 0 and self.edge_angstrom > 0):
            raise InputError(
                "mask: expected low_pass_angstrom and edge_angstrom above 0 and grow_angstrom of at least 0, got "
                f"{self.low_pass_angstrom}, {self.edge_angstrom} and {self.grow_angstrom}"
            )

    def __call__(self, half_map: DensityMap, resolution_angstrom: float) -> Float[Tensor, "z y x"]:
        """Around the density of this map."""
        voxel = half_map.voxel_size
        cutoff = max(self.low_pass_angstrom, min(resolution_angstrom, max(half_map.box) * voxel / 4))
        grow, edge = self.grow_angstrom / voxel, self.edge_angstrom / voxel
        return mask_from_map(half_map.density, voxel, cutoff, self.threshold, grow, edge)


@dataclass(frozen=True)
class MaskFromFile:
    """A mask from a file.

    Attributes
    ----------
    path
        A map with values between 0 and 1 in the particles' box.
    """

    path: str

    def __call__(self, half_map: DensityMap, resolution_angstrom: float) -> Float[Tensor, "z y x"]:
        """The file's mask."""
        mask = read_map(self.path, half_map.voxel_size).density
        if tuple(mask.shape) != half_map.box:
            raise InputError(f"{self.path}: expected a mask of {half_map.box} voxels, got {tuple(mask.shape)}")
        low, high = float(mask.min()), float(mask.max())
        if low < -1e-3 or high > 1 + 1e-3 or high <= 0:
            raise InputError(f"{self.path}: expected a mask with values from 0 to 1, got {low:g} to {high:g}")
        return mask.clamp(0, 1).to(torch.float32)
