"""`torchsag.spectra.gridding.interpolate` as one CPU loop: ten times as fast, without gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.bounds import within
from torchsag.spectra.taps_numba import fill_taps

TAPS = 4
"""Width of the kernel in samples; the compiler needs to know it."""


def interpolate_numba(
    samples: Complex[Tensor, "pz py px"], positions: Float[Tensor, "points 3"], table: Float[Tensor, "steps taps"]
) -> Complex[Tensor, " points"]:
    """Convolve `samples` with the kernel at `positions` (x, y, z; in samples), on as many threads as torch may use.

    `table` holds the kernel's taps at equally spaced fractions of a sample, 0 to 1 and one row more. A position whose
    taps are not all inside, or that is no number, gives none.
    """
    out = torch.empty(len(positions), dtype=torch.complex64)
    inputs = (samples.contiguous().numpy().view(np.float32), positions.contiguous().numpy(), table.numpy())
    workers = torch.get_num_threads()
    edges = np.linspace(0, len(positions), workers + 1).astype(np.int64)
    if workers == 1:
        _fill(out.numpy(), *inputs, 0, len(positions))
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda part: _fill(out.numpy(), *inputs, edges[part], edges[part + 1]), range(workers)))
    return out


# A run-time type checker's wrapper would stand between the compiler and the function, hence `unwrap`. Lines along x are
# added up first, real and imaginary parts side by side: eight numbers in a row, one vector instruction.
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _fill(out, samples, positions, table, begin, end):
    starts = np.empty(3, np.int64)
    weights = np.empty((3, TAPS), np.float32)
    sums = np.empty(2 * TAPS, np.float32)
    first = np.float32(TAPS // 2 - 1)
    last_z, last_y = samples.shape[0] - TAPS // 2, samples.shape[1] - TAPS // 2
    last_x = samples.shape[2] // 2 - TAPS // 2
    for point in range(begin, end):
        x, y, z = positions[point, 0], positions[point, 1], positions[point, 2]
        if not (within(x, first, last_x) and within(y, first, last_y) and within(z, first, last_z)):
            out[point] = complex(np.nan, np.nan)
            continue
        for axis in range(3):
            starts[axis] = fill_taps(positions[point, axis], table, weights[axis])
        column = 2 * starts[0]
        for i in range(2 * TAPS):
            sums[i] = 0
        for k in range(TAPS):
            for j in range(TAPS):
                factor = weights[2, k] * weights[1, j]
                line = samples[starts[2] + k, starts[1] + j]
                for i in range(2 * TAPS):
                    sums[i] += factor * line[column + i]
        real, imaginary = np.float32(0), np.float32(0)
        for i in range(TAPS):
            real += weights[0, i] * sums[2 * i]
            imaginary += weights[0, i] * sums[2 * i + 1]
        out[point] = complex(real, imaginary)
