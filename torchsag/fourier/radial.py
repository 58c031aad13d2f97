"""Filters given shell by shell, and phases made random."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.axes import Volumes
from torchsag.fourier.frequencies import half_frequencies, half_shells
from torchsag.fourier.transforms import from_half_spectrum, to_half_spectrum


def apply_shell_curve(volume: Volumes, curve: Float[Tensor, " shells"]) -> Volumes:
    """Multiply a volume's transform by a curve over shells 0, 1, ..: linear between shells, zero beyond them."""
    box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    radius = half_frequencies(box, device=volume.device).norm(dim=-1) * max(box)
    padded = torch.cat([curve.to(volume), curve.new_zeros(2).to(volume)])
    low = radius.floor().long().clamp_max(len(padded) - 2)
    part = (radius - low).clamp(0, 1)
    factor = padded[low] * (1 - part) + padded[low + 1] * part
    return from_half_spectrum(to_half_spectrum(volume) * factor, box)


def randomise_phases(volume: Volumes, first_shell: int, generator: torch.Generator | None = None) -> Volumes:
    """Keep amplitudes and give every coefficient from `first_shell` outwards a random phase.

    The phases are those of white noise, so the result is real. Source: Chen et al. 2013, Ultramicroscopy 135:24.
    """
    box = (volume.shape[-3], volume.shape[-2], volume.shape[-1])
    spectrum = to_half_spectrum(volume)
    noise = torch.randn(volume.shape, generator=generator, dtype=volume.dtype).to(volume.device)
    random = to_half_spectrum(noise)
    replaced = spectrum.abs() * torch.sgn(random)
    return from_half_spectrum(torch.where(half_shells(box, volume.device) >= first_shell, replaced, spectrum), box)
