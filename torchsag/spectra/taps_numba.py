"""The taps of an interpolation kernel along one axis, for the compiled loops."""

from __future__ import annotations

from inspect import unwrap

import numba
import numpy as np


# `unwrap`: a run-time type checker's wrapper would hide the function from the compiler.
@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def fill_taps(place, table, taps):
    """Write the kernel's values at the samples around `place` to `taps`, and return the first of these samples.

    `table` holds the taps at equally spaced fractions of a sample, 0 to 1 and one row more; values between its rows are
    interpolated. `place` is a number that is inside (see `torchsag.spectra.bounds`).
    """
    width = len(taps)
    low = np.floor(place)
    row = (place - low) * np.float32(table.shape[0] - 2)
    index = np.int64(row)
    rest = row - np.float32(index)
    for tap in range(width):
        here = table[index, tap]
        taps[tap] = here + rest * (table[index + 1, tap] - here)
    return np.int64(low) - (width // 2 - 1)
