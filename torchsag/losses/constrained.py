"""The constrained correlation and distance of Lü et al. 2019 (section "Constrained dissimilarity").

``f* = M (F^-1(F(f) Omega) - mean under M)`` for both volumes, M a mask and Omega what both have measured: the reference
has no wedge of its own, so Omega is the particle's weight. A particle in the library's form (signal times W, white
noise) carries its weight already; only the placed reference is still to be multiplied by it. Then
``CCC = <f*, g*> / (|f*| |g*|)`` and ``d^2 = |f*/|f*| - g*/|g*||^2 = 2 - 2 CCC``.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Volumes
from torchsag.fourier import from_half_spectrum, to_half_spectrum

Voxels = Float[Tensor, "*batch voxels"]
VoxelMasks = Float[Tensor, "*#batch voxels"]


def filter_volume(volume: Volumes, weight: Float[Tensor, "*#batch z y kx"]) -> Volumes:
    """``F^-1(F(f) Omega)``."""
    box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    return from_half_spectrum(to_half_spectrum(volume) * weight, box)


def masked_deviation(voxels: Voxels, mask: VoxelMasks) -> Voxels:
    """``M (f - mean under M)``; the mean is ``sum M f / sum M``."""
    mean = (mask * voxels).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)
    return mask * (voxels - mean)


def box_deviation(parts: Float[Tensor, "*batch z y x"], mask: Float[Tensor, "*#batch z y x"]) -> Volumes:
    """`masked_deviation` of parts that keep their three axes."""
    return masked_deviation(parts.flatten(-3), mask.flatten(-3)).unflatten(-1, parts.shape[-3:])


def constrained_correlation(first: Voxels, second: Voxels, mask: VoxelMasks) -> Float[Tensor, "*batch"]:
    """CCC of volumes that have both been filtered; zero where one of them is flat."""
    return (_unit_deviation(first, mask) * _unit_deviation(second, mask)).sum(-1)


def _unit_deviation(voxels: Tensor, mask: Tensor) -> Tensor:
    """``f* / |f*|``, or zero where f* is nothing but rounding."""
    star = masked_deviation(voxels, mask)
    norm = star.norm(dim=-1, keepdim=True)
    rounding = 64 * torch.finfo(star.dtype).eps * (mask * voxels).norm(dim=-1, keepdim=True)
    return torch.where(norm > rounding, star / norm.clamp_min(torch.finfo(star.dtype).tiny), torch.zeros_like(star))
