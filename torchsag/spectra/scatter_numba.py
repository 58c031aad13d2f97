"""`torchsag.spectra.scatter.scatter_torch` as one CPU loop: all channels of a sample with the same taps."""

from __future__ import annotations

from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.bounds import within_box
from torchsag.spectra.taps_numba import fill_taps

# No grid is larger; whole numbers below it are exact in single precision.
_FAR = np.float32(2**23)


def scatter_numba(
    values: Complex[Tensor, "channels points"],
    positions: Float[Tensor, "points 3"],
    table: Float[Tensor, "steps taps"],
    shape: tuple[int, int, int, int],
) -> Complex[Tensor, "channels pz py px"]:
    """Add each sample to the grid points under the kernel, on one thread: two would write to the same points.

    `table` holds the kernel's taps at equally spaced fractions of a sample, 0 to 1 and one row more.
    """
    grid = torch.zeros(shape, dtype=torch.complex64)
    samples = values.resolve_conj().mT.contiguous()
    _add(grid.numpy(), samples.numpy(), positions.contiguous().numpy(), table.numpy())
    return grid


# A run-time type checker's wrapper would stand between the compiler and the function, hence `unwrap`.
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _add(grid, values, positions, table):
    channels, size = grid.shape[0], grid.shape[1]
    width = table.shape[1]
    # Along x the taps must fit into the grid, along y and z they go round.
    low_x, high_x = np.float32(-(width // 2)), np.float32(grid.shape[3] - 3 * width // 2)
    starts = np.empty(3, np.int64)
    weights = np.empty((3, width), np.float32)
    for point in range(positions.shape[0]):
        if not within_box(positions[point, 0], positions[point, 1], positions[point, 2], low_x, high_x, -_FAR, _FAR):
            raise IndexError("scatter: a sample lies outside of the grid")
        for axis in range(3):
            starts[axis] = fill_taps(positions[point, axis], table, weights[axis])
        first_x = starts[0] + width
        for k in range(width):
            z = (starts[2] + k) % size
            for j in range(width):
                y = (starts[1] + j) % size
                outer = weights[2, k] * weights[1, j]
                for channel in range(channels):
                    value = values[point, channel] * outer
                    for i in range(width):
                        grid[channel, z, y, first_x + i] += value * weights[0, i]
