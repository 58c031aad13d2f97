"""Multiplying a transform by a factor: radial filters of volumes, filters inside the planes of a volume."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Volumes
from torchsag.fourier.frequencies import half_frequencies


def raised_cosine(radius: Float[Tensor, "*shape"], cutoff: float, edge: float) -> Float[Tensor, "*shape"]:
    """One up to ``cutoff - edge/2``, zero beyond ``cutoff + edge/2``, half a cosine between."""
    if edge <= 0:
        return (radius <= cutoff).to(radius.dtype)
    position = ((radius - cutoff) / edge + 0.5).clamp(0, 1)
    return 0.5 * (1 + torch.cos(math.pi * position))


def low_pass(volume: Volumes, resolution_angstrom: float, voxel_size: float, edge_shells: float = 2.0) -> Volumes:
    """Remove detail finer than `resolution_angstrom`, with a raised-cosine edge `edge_shells` Fourier shells wide."""
    box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    radius = half_frequencies(box, device=volume.device).norm(dim=-1)
    keep = raised_cosine(radius, voxel_size / resolution_angstrom, edge_shells / max(box))
    return apply_filter(volume, keep)


def apply_filter(volume: Volumes, factor: Float[Tensor, "#*batch z y kx"]) -> Volumes:
    """Multiply the transform of real volumes by a real factor, the same at k and -k (half-spectrum layout).

    The centred and the plain transform differ by a phase that such a product leaves alone, so the plain one serves and
    both shifts are saved: they cost as much as the transforms.
    """
    axes = (-3, -2, -1)
    spectrum = torch.fft.rfftn(volume, dim=axes) * factor
    return torch.fft.irfftn(spectrum, s=volume.shape[-3:], dim=axes)


def filter_planes(
    planes: Float[Tensor, "... rows columns"], weight: Float[Tensor, "... rows kcolumns"]
) -> Float[Tensor, "... rows columns"]:
    """Multiply each plane's transform by a real, even weight (half-spectrum layout); linear and self-adjoint.

    Such a weight acts the same wherever the phase origin lies, so the planes need not be centred.
    """
    axes = (-2, -1)
    return torch.fft.irfft2(torch.fft.rfft2(planes, dim=axes) * weight, s=planes.shape[-2:], dim=axes)
