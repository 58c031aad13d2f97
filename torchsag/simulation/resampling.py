"""Bring a map to the voxel size and box of a simulation."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.imaging.masks import centred_radius, spherical_mask
from torchsag.imaging.reference import background
from torchsag.particles import DensityMap
from torchsag.simulation.density import BAND_EDGE
from torchsag.spectra.regridding import regridded

# A structure ends where spheres about the centre hold this share of the map's variance.
_SHARE_OF_POWER = 0.95


def resample_map(source: DensityMap, box: int, voxel_size: float, name: str = "map") -> DensityMap:
    """The same density in a cubic box of `box` voxels of `voxel_size` angstrom, centre on centre.

    The background (median over the source's faces) is set to zero and what lies outside the largest sphere in the box
    is masked away, as it would come back on the other side of a rotated copy. Frequencies above either grid's limit
    are lost.

    Raises
    ------
    InputError
        If the sphere would cut the structure; the message says which box would do.
    """
    density = source.density.float() - background(source.density.float())
    radius = structure_radius(density) * source.voxel_size
    needed = 2 * math.ceil(radius / voxel_size + 1)
    if box < needed:
        raise InputError(
            f"{name}: a box of {box} voxels at {voxel_size:g} A is too small for a structure of radius {radius:.0f} A; "
            f"use box={needed} or a larger voxel size"
        )
    resampled = regridded(density, source.voxel_size / voxel_size, (box, box, box), BAND_EDGE)
    return DensityMap(resampled * spherical_mask((box, box, box), edge=2.0), voxel_size)


def structure_radius(density: Float[Tensor, "z y x"], share: float = _SHARE_OF_POWER) -> float:
    """Radius (voxels) about the box centre that holds this share of the squared density."""
    z, y, x = density.shape
    radius = centred_radius((z, y, x)).flatten()
    order = radius.argsort()
    power = density.flatten()[order].double().square().cumsum(0)
    return float(radius[order][torch.searchsorted(power, share * power[-1])])
