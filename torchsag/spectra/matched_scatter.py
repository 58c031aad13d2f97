"""Samples of a signal and their power back-projected together: `torchsag.spectra.scatter` of both, for less.

The power is real, so what it adds up to is even: V(-r) = V(r). On the grid it takes half the memory, along the first
axis a real transform, and half of the volume is the other half seen from behind.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import Box, Volumes
from torchsag.spectra.gridding import WIDTH, kernel_transform, padded_size, tap_table
from torchsag.spectra.scatter import back_project, centred, complete
from torchsag.spectra.scatter_numba import scatter_numba


def back_project_matched(
    signal: Complex[Tensor, " points"],
    power: Float[Tensor, " points"],
    frequencies: Float[Tensor, "points 3"],
    box: Box,
) -> tuple[Volumes, Volumes]:
    """Volumes of the signal and of the power; parameters as `torchsag.spectra.scatter.back_project`."""
    if signal.device.type != "cpu" or signal.dtype != torch.complex64:
        volume, response = back_project(torch.stack([signal, power.to(signal)]), frequencies, box)
        return volume, response
    size = padded_size(box[0])
    mirrored = frequencies[:, 0] < 0
    positions = torch.where(mirrored[:, None], -frequencies, frequencies).float() * size
    turned = torch.where(mirrored, signal.conj(), signal)
    grids = scatter_numba(turned, power, positions, tap_table(), (size, size, size // 2 + 1 + 2 * WIDTH))
    whole, power_whole = (complete(grid[None], size) for grid in grids)
    return centred(whole, box[0])[0], even_volume(power_whole[0], box[0])


def even_volume(spectrum: Float[Tensor, "pz py px"], n: int) -> Volumes:
    """The inner voxels of a real spectrum's volume, as `torchsag.spectra.scatter.centred` has them of any spectrum."""
    size, half = spectrum.shape[0], n // 2
    volume = torch.fft.ihfft(spectrum, dim=0)[: half + 1]  # z from 0 on
    volume = _around(torch.fft.ifft(volume, dim=1), 1, half)
    volume = _around(torch.fft.irfft(volume, n=size, dim=2), 2, half) * (size / n) ** 3
    behind = volume[1:, -n:, -n:].flip(0, 1, 2)
    gain = kernel_transform(size, volume)[size // 2 - half :][:n]
    return torch.cat([behind, volume[: n - half, :n, :n]]) / (gain[:, None, None] * gain[:, None] * gain)


def _around(values: Tensor, axis: int, half: int) -> Tensor:
    """Samples ``-half`` to ``half`` of a periodic axis."""
    size = values.shape[axis]
    return torch.cat([values.narrow(axis, size - half, half), values.narrow(axis, 0, half + 1)], axis)
