"""The same density on a grid of another voxel size, centre on centre."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Box
from torchsag.fourier import crop, from_half_spectrum, half_frequencies
from torchsag.fourier.filters import raised_cosine
from torchsag.spectra.gridding import ContinuousSpectrum


def working_box(shape: Box, scale: float, box: Box) -> Box:
    """The grid on which `regridded` works: of the new voxels, wide enough for the old extent and for `box`."""
    z, y, x = (max(new, 2 * math.ceil(old * scale / 2) + new % 2) for old, new in zip(shape, box, strict=True))
    return z, y, x


def regridded(
    density: Float[Tensor, "z y x"], scale: float, box: Box, edge: tuple[float, float] | None = None
) -> Float[Tensor, "new_z new_y new_x"]:
    """Values of a density at the points of another grid, and zero where the old grid has none.

    Frequencies that either grid cannot hold are lost.

    Parameters
    ----------
    density
        Falls to zero towards its faces, or rings there.
    scale
        Old voxel size by new.
    box
        The new size (z, y, x).
    edge
        Cutoff and width of a raised cosine, cycles per new voxel; None keeps all that the new grid holds.
    """
    work = working_box((density.shape[0], density.shape[1], density.shape[2]), scale, box)
    frequencies = half_frequencies(work)
    inside = (frequencies.abs().amax(-1) < 0.5) & ((frequencies * scale).abs().amax(-1) < 0.5)
    spectrum = torch.zeros(inside.shape, dtype=torch.complex64)
    spectrum[inside] = ContinuousSpectrum.of(density).at(frequencies[inside] * scale) * scale**3
    if edge is not None:
        spectrum *= raised_cosine(frequencies.norm(dim=-1), *edge)
    return crop(from_half_spectrum(spectrum, work), box)
