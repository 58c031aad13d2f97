"""The density of a point model on a grid, by summing its transform exactly.

``F(k) = exp(-2 pi^2 sigma^2 s^2) sum_kinds f_kind(s) sum_j a_j exp(-2 pi i k.r_j)``. The exponentials factor over the
axes, so that the inner sum is one matrix product per kind; nothing is interpolated and the result is band-limited.
"""

import math

import torch
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies
from torchsag.fourier.filters import raised_cosine
from torchsag.particles import DensityMap
from torchsag.requirements import require_kind, require_positive, require_whole
from torchsag.simulation.point_model import PointModel

# Complex numbers held at once in the outer products.
_PRODUCT_SIZE = 2**23
# Where the band ends, cycles per voxel (middle and width of a raised cosine): at the Nyquist sphere, so that a rotated
# copy has the same content, and softly, because the ringing of a sharp edge fills the box and comes back on its other
# side when the map is turned.
BAND_EDGE = (0.45, 0.1)
# Half the box must hold the structure, its blur and this much air on each side.
_MARGIN_VOXELS = 1.0


def density_of(model: PointModel, box: int, voxel_size: float, blur_angstrom: float = 0.0) -> DensityMap:
    """Density of `model` in a cubic box, particle bright, the model's origin at the box centre.

    Parameters
    ----------
    model
        The structure.
    box
        Voxels per axis.
    voxel_size
        Angstrom per voxel.
    blur_angstrom
        Standard deviation of an additional Gaussian (see `torchsag.simulation.resolution` for conventions).

    Raises
    ------
    InputError
        If the structure does not fit; the message says which box would do.
    """
    require_kind("model", model, PointModel, "a PointModel such as ribosome_phantom()")
    require_whole("box", box, 1)
    require_positive("voxel_size", voxel_size, "a number of angstrom")
    check_fits(model, box, voxel_size)
    size = (box, box, box)
    frequencies = half_frequencies(size, dtype=torch.float64)
    squared = (frequencies / voxel_size).square().sum(-1)
    spectrum = torch.zeros(squared.shape, dtype=torch.complex64)
    for kind, gaussians in enumerate(model.form_factors.double()):
        points = model.kind == kind
        if not points.any():
            continue
        factor = sum(a * torch.exp(-b * squared) for a, b in gaussians.tolist())
        phases = _structure_factor(model.positions[points].double() / voxel_size, model.amplitudes[points], box)
        spectrum += phases * factor
    spectrum *= torch.exp(-2 * math.pi**2 * blur_angstrom**2 * squared)
    spectrum *= raised_cosine(frequencies.norm(dim=-1), *BAND_EDGE)
    return DensityMap(from_half_spectrum(spectrum, size).float(), voxel_size)


def check_fits(model: PointModel, box: int, voxel_size: float) -> None:
    """Raise `InputError` unless the model fits its box in every orientation."""
    if not voxel_size > 0:
        raise InputError(f"{model.name}: expected a voxel size above 0 angstrom, got {voxel_size}")
    needed = 2 * math.ceil(model.radius_angstrom / voxel_size + _MARGIN_VOXELS)
    if box < needed:
        raise InputError(
            f"{model.name}: a box of {box} voxels at {voxel_size:g} A is too small for a structure of radius "
            f"{model.radius_angstrom:.0f} A; use box={needed} or a larger voxel size"
        )


def _structure_factor(positions: Tensor, amplitudes: Tensor, box: int) -> Tensor:
    """``sum_j a_j exp(-2 pi i k.r_j)`` on a half-spectrum; positions in voxels from the centre."""
    full = torch.fft.fftfreq(box, dtype=torch.float64)
    half = torch.fft.rfftfreq(box, dtype=torch.float64)
    total = torch.zeros(box, box * len(half), dtype=torch.complex64)
    step = max(1, _PRODUCT_SIZE // (box * len(half)))
    for chunk, factor in zip(positions.split(step), amplitudes.split(step), strict=True):
        waves = [
            torch.polar(torch.ones(1, dtype=torch.float64), -2 * math.pi * k[:, None] * column).to(torch.complex64)
            for k, column in zip((half, full, full), chunk.unbind(-1), strict=True)
        ]
        plane = torch.einsum("yj,xj->jyx", waves[1] * factor.float(), waves[0]).flatten(1)
        total += waves[2] @ plane
    return total.reshape(box, box, len(half))
