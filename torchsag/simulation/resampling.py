"""Bring a map to the voxel size and box of a simulation."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import crop, from_half_spectrum, half_frequencies
from torchsag.fourier.filters import raised_cosine
from torchsag.imaging.masks import centred_radius, spherical_mask
from torchsag.particles import DensityMap
from torchsag.simulation.density import BAND_EDGE
from torchsag.spectra.gridding import ContinuousSpectrum

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
    density = source.density.float() - _background(source.density.float())
    radius = structure_radius(density) * source.voxel_size
    needed = 2 * math.ceil(radius / voxel_size + 1)
    if box < needed:
        raise InputError(
            f"{name}: a box of {box} voxels at {voxel_size:g} A is too small for a structure of radius {radius:.0f} A; "
            f"use box={needed} or a larger voxel size"
        )
    extent = max(source.box) * source.voxel_size
    work = max(box, 2 * math.ceil(extent / voxel_size / 2) + box % 2)
    size = (work, work, work)
    frequencies = half_frequencies(size)
    scale = source.voxel_size / voxel_size
    inside = (frequencies * scale).abs().amax(-1) < 0.5
    spectrum = torch.zeros(inside.shape, dtype=torch.complex64)
    spectrum[inside] = ContinuousSpectrum.of(density).at(frequencies[inside] * scale) * scale**3
    spectrum *= raised_cosine(frequencies.norm(dim=-1), *BAND_EDGE)
    resampled = crop(from_half_spectrum(spectrum, size), (box, box, box))
    return DensityMap(resampled * spherical_mask((box, box, box), edge=2.0), voxel_size)


def _background(density: Tensor) -> Tensor:
    faces = [density.select(axis, end).flatten() for axis in range(3) for end in (0, -1)]
    return torch.cat(faces).median()


def structure_radius(density: Float[Tensor, "z y x"], share: float = _SHARE_OF_POWER) -> float:
    """Radius (voxels) about the box centre that holds this share of the squared density."""
    z, y, x = density.shape
    radius = centred_radius((z, y, x)).flatten()
    order = radius.argsort()
    power = density.flatten()[order].double().square().cumsum(0)
    return float(radius[order][torch.searchsorted(power, share * power[-1])])
