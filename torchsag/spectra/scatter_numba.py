"""`torchsag.spectra.scatter.scatter_torch` as one CPU loop: a signal and its power with the same taps."""

from __future__ import annotations

from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.bounds import within_box
from torchsag.spectra.gridding_numba import TAPS
from torchsag.spectra.taps_numba import fill_taps

# No grid is larger; whole numbers below it are exact in single precision.
_FAR = np.float32(2**23)


def scatter_numba(
    signal: Complex[Tensor, " points"],
    power: Float[Tensor, " points"],
    positions: Float[Tensor, "points 3"],
    table: Float[Tensor, "steps taps"],
    shape: tuple[int, int, int],
) -> tuple[Complex[Tensor, "pz py px"], Float[Tensor, "pz py px"]]:
    """Add each sample to the grid points under the kernel, on one thread: two would write to the same points.

    `table` holds the kernel's taps at equally spaced fractions of a sample, 0 to 1 and one row more.
    """
    grid, power_grid = torch.zeros(shape, dtype=torch.complex64), torch.zeros(shape)
    lines, samples = torch.view_as_real(grid).flatten(-2), torch.view_as_real(signal.resolve_conj().contiguous())
    inputs = (samples, power.contiguous(), positions.contiguous(), table)
    _add(lines.numpy(), power_grid.numpy(), *(one.numpy() for one in inputs))
    return grid, power_grid


# A run-time type checker's wrapper would stand between the compiler and the function, hence `unwrap`. What a sample
# adds along x is the same for all lines but for a factor.
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _add(grid, power_grid, signal, power, positions, table):
    size = grid.shape[0]
    # Along x the taps must fit into the grid, along y and z they go round.
    low_x, high_x = np.float32(-(TAPS // 2)), np.float32(power_grid.shape[2] - 3 * TAPS // 2)
    starts = np.empty(3, np.int64)
    weights = np.empty((3, TAPS), np.float32)
    along, power_along = np.empty(2 * TAPS, np.float32), np.empty(TAPS, np.float32)
    for point in range(positions.shape[0]):
        if not within_box(positions[point, 0], positions[point, 1], positions[point, 2], low_x, high_x, -_FAR, _FAR):
            raise IndexError("scatter: a sample lies outside of the grid")
        for axis in range(3):
            starts[axis] = fill_taps(positions[point, axis], table, weights[axis])
        column = starts[0] + TAPS
        for i in range(TAPS):
            along[2 * i] = signal[point, 0] * weights[0, i]
            along[2 * i + 1] = signal[point, 1] * weights[0, i]
            power_along[i] = power[point] * weights[0, i]
        for k in range(TAPS):
            z = (starts[2] + k) % size
            for j in range(TAPS):
                y = (starts[1] + j) % size
                outer = weights[2, k] * weights[1, j]
                for i in range(2 * TAPS):
                    grid[z, y, 2 * column + i] += outer * along[i]
                for i in range(TAPS):
                    power_grid[z, y, column + i] += outer * power_along[i]
