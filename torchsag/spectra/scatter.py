"""The adjoint of `torchsag.spectra.gridding`: Fourier samples at any frequency summed into a real volume.

``V(x) = (1 / n^3) sum_j v_j exp(2 pi i k_j.x)`` plus the same at ``-k_j`` with the conjugate of ``v_j``, over the
voxels of a box: a non-uniform FFT of the first type with the kernel, the padding and the accuracy of the gridding. In
the lattice of the box, coefficient k is then ``sum_j v_j D(k - k_j)`` with D the box's own transform, one at zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from torchsag.axes import Box, Volumes
from torchsag.spectra.gridding import WIDTH, kernel_taps, kernel_transform, padded_size

_AXES = (-3, -2, -1)


def back_project(
    values: Complex[Tensor, "channels points"], frequencies: Float[Tensor, "points 3"], box: Box
) -> Float[Tensor, "channels z y x"]:
    """Volumes of samples at the same frequencies, origin at the box centre.

    Parameters
    ----------
    values
        Samples; a real volume's sample stands for its mirror image too. A sample whose mirror image is listed as well
        has to be halved.
    frequencies
        (x, y, z), cycles per voxel, each within [-1/2, 1/2].
    box
        Size (z, y, x) of the volumes: a cube.
    """
    n = box[0]
    mirrored = frequencies[:, 0] < 0
    half = torch.where(mirrored[:, None], -frequencies, frequencies)
    turned = torch.where(mirrored, values.conj(), values)
    size = padded_size(n)
    # Axis x holds the frequencies ``-WIDTH .. size / 2 + WIDTH``.
    grid = scatter_torch(turned, half * size, (len(values), size, size, size // 2 + 1 + 2 * WIDTH))
    return centred(complete(grid, size), n)


def scatter_torch(
    values: Complex[Tensor, "channels points"], positions: Float[Tensor, "points 3"], shape: tuple[int, int, int, int]
) -> Complex[Tensor, "channels pz py px"]:
    """Add each sample to the grid points under the kernel; `positions` (x, y, z) in samples, x from zero on."""
    (start_x, weight_x), (start_y, weight_y), (start_z, weight_z) = map(kernel_taps, positions.unbind(-1))
    _, size, _, columns = shape
    grid = values.new_zeros(shape[0], size * size * columns)
    for dz in range(WIDTH):
        for dy in range(WIDTH):
            row = ((start_z + dz) % size) * size + (start_y + dy) % size
            for dx in range(WIDTH):
                weight = (weight_z[:, dz] * weight_y[:, dy] * weight_x[:, dx]).to(values.real)
                grid.index_add_(1, row * columns + start_x + dx + WIDTH, values * weight)
    return grid.reshape(shape)


def complete(grid: Tensor, size: int) -> Shaped[Tensor, "channels pz py px"]:
    """The half-spectrum of a real volume: each sample's mirror image added where it falls into this half."""
    last = size // 2
    core = grid[..., WIDTH : WIDTH + last + 1]
    opposite = (-torch.arange(size, device=grid.device)) % size
    down = opposite[:, None]
    # Copies, so that nothing is added twice.
    below, above = grid[..., down, opposite, : WIDTH + 1].flip(-1), grid[..., down, opposite, WIDTH + last :].flip(-1)
    core[..., : WIDTH + 1] += below.conj()
    core[..., last - WIDTH :] += above.conj()
    return core


def centred(spectrum: Complex[Tensor, "channels pz py px"], n: int) -> Volumes:
    """The inner voxels of the padded volume, transformed one axis at a time so that what is not kept costs nothing."""
    size = spectrum.shape[-2]
    volume = _middle(torch.fft.ifft(spectrum, dim=-3), -3, n)
    volume = _middle(torch.fft.ifft(volume, dim=-2), -2, n)
    volume = _middle(torch.fft.irfft(volume, n=size, dim=-1), -1, n) * (size / n) ** 3
    gain = kernel_transform(size, volume)[size // 2 - n // 2 :][:n]
    return volume / (gain[:, None, None] * gain[:, None] * gain)


def _middle(values: Tensor, axis: int, n: int) -> Tensor:
    """Samples ``-n // 2`` to ``n - n // 2 - 1`` of a periodic axis; two slices are copied far faster than an index."""
    size = values.shape[axis]
    return torch.cat([values.narrow(axis, size - n // 2, n // 2), values.narrow(axis, 0, n - n // 2)], axis)
