"""A map's transform between and beyond its own samples, up to a reach: no more of it is computed than is kept."""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.recording import is_recorded


def oversampled_spectrum(
    volume: Float[Tensor, "*batch z y x"], oversampling: int, reach: int
) -> Complex[Tensor, "*batch uz uy ux"]:
    """Samples of the transform of cubic volumes, phase origin at the box centre, `oversampling` to a Fourier voxel.

    The same as transforming the volume padded to `oversampling` times its box, as a product of matrices along one axis
    after the other: 1.6 to 3 times as fast as fast transforms that know of the padding, for boxes of 32 to 192 voxels
    and the bands of an alignment (measured).

    Parameters
    ----------
    volume
        Real, cubic.
    oversampling
        Samples per Fourier voxel.
    reach
        Samples kept on each side of the origin: ``-reach .. reach`` along z and y, ``0 .. reach`` along x.
    """
    volumes = volume.reshape(-1, *volume.shape[-3:])
    ones = torch.ones(len(volumes), dtype=volume.dtype.to_complex(), device=volume.device)
    made = oversampled_channels(volumes, oversampling, reach, ones)
    return made.movedim(-1, 0).reshape(*volume.shape[:-3], *made.shape[:-1])


def oversampled_channels(
    volumes: Float[Tensor, "channels z y x"], oversampling: int, reach: int, factors: Complex[Tensor, " channels"]
) -> Complex[Tensor, "uz uy ux channels"]:
    """`oversampled_spectrum` of each volume times its factor, channels last."""
    n = volumes.shape[-1]
    waves = _waves(n, oversampling, reach, volumes)
    along_x = _along_x(volumes, factors[:, None, None] * waves[reach:])
    along_z = (waves @ along_x.movedim(0, -1).reshape(n, -1)).unflatten(-1, (n, -1))
    return (waves @ along_z).unflatten(-1, (reach + 1, len(volumes)))


def _along_x(
    volumes: Float[Tensor, "channels z y x"], waves: Complex[Tensor, "channels ux x"]
) -> Complex[Tensor, "channels z y ux"]:
    if is_recorded(volumes):  # autocast would lower the gradient of a product of real matrices, not of complex ones
        return volumes.to(waves.dtype) @ waves.mT[:, None]
    pairs = torch.view_as_real(waves.mT.contiguous()).flatten(-2)
    with torch.autocast(volumes.device.type, enabled=False):
        made = volumes.flatten(1, 2) @ pairs
    return torch.view_as_complex(made.unflatten(-1, (-1, 2))).unflatten(1, volumes.shape[1:3])


def _waves(n: int, oversampling: int, reach: int, like: Tensor) -> Complex[Tensor, "samples n"]:
    """``exp(-2 pi i u x / (oversampling n))`` of sample u at voxel x from the box centre."""
    samples = torch.arange(-reach, reach + 1, device=like.device, dtype=torch.float64)
    voxels = torch.arange(n, device=like.device, dtype=torch.float64) - n // 2
    angle = -2 * math.pi / (oversampling * n) * samples[:, None] * voxels
    return torch.polar(torch.ones_like(angle), angle).to(like.dtype.to_complex())
