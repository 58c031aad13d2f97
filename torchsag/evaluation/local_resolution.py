"""Resolution around each voxel: how far two half-maps agree within a window, Fourier shell by Fourier shell."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.particles import DensityMap


def local_resolution(
    first: DensityMap, second: DensityMap, threshold: float = 0.5, window_voxels: float = 5.0
) -> DensityMap:
    """Where the local correlation of band-passed half-maps first falls below a threshold, angstrom.

    Each band is a Gaussian around a shell, as narrow as the window allows (a window of width w cannot tell apart
    frequencies closer than ``1 / (2 pi w)``), and the correlation is taken under a Gaussian window about each voxel.
    Few independent coefficients fall into a window, hence the threshold of 0.5; unlike the FSC it knows no mask.
    Linear between shells; the best possible is two voxels, the worst the box.

    Parameters
    ----------
    first, second
        Half-maps in one frame.
    threshold
        Of the correlation.
    window_voxels
        Standard deviation of the window.

    Raises
    ------
    InputError
        If the boxes differ or the window is not positive.
    """
    if first.box != second.box or not window_voxels > 0:
        raise InputError(
            f"local resolution: expected half-maps of one box and a window above 0 voxels, got {first.box}, "
            f"{second.box} and {window_voxels:g}"
        )
    n, box = max(first.box), first.box
    radius = half_frequencies(box).norm(dim=-1)
    window = torch.exp(-2 * (math.pi * window_voxels * radius).square())
    width = 1 / (2 * math.pi * window_voxels)
    spectra = [to_half_spectrum(m.density.float().cpu()) for m in (first, second)]

    def smoothed(volume: Tensor) -> Tensor:
        return from_half_spectrum(to_half_spectrum(volume) * window, box)

    def correlation(shell: int) -> Float[Tensor, "z y x"]:
        band = torch.exp(-0.5 * ((radius - shell / n) / width).square())
        a, b = (from_half_spectrum(spectrum * band, box) for spectrum in spectra)
        power = smoothed(a * a).clamp_min(0) * smoothed(b * b).clamp_min(0)
        return smoothed(a * b) / power.clamp_min(1e-30).sqrt()

    reached = torch.ones(box)  # in shells; the whole box where nothing agrees
    alive = torch.ones(box, dtype=torch.bool)
    before = torch.ones(box)
    for shell in range(1, n // 2 + 1):
        now = correlation(shell)
        part = ((before - threshold) / (before - now).clamp_min(1e-6)).clamp(0, 1)
        falls = alive & (now < threshold)
        reached = torch.where(falls, shell - 1 + part, torch.where(alive, torch.full_like(reached, shell), reached))
        alive &= ~falls
        before = now
    return DensityMap(n * first.voxel_size / reached.clamp_min(1.0), first.voxel_size)
