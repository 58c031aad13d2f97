"""`torchsag.spectra.tables.padded_table` as one CPU loop: each number is moved once."""

from inspect import unwrap

import numba
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.tables import MARGIN


def padded_table_numba(
    half: Float[Tensor, "batch z y kx"] | Complex[Tensor, "batch z y kx"], n: int, reach: int
) -> Tensor:
    """`torchsag.spectra.tables.padded_table` for CPU tensors that nobody differentiates."""
    if half.shape[1:] != (n, n, n // 2 + 1) or not 0 <= reach <= n // 2:
        raise ValueError(f"table: expected half-spectra of {n} voxels and a reach within, got {tuple(half.shape)}")
    width = 2 * (reach + MARGIN) + 1
    table = half.new_empty(len(half), width, width, reach + 2 * MARGIN + 1)
    source, target = half.resolve_conj().contiguous(), table
    move = _move_complex if half.is_complex() else _move_real
    move(source.numpy(), target.numpy(), n, reach)
    return table


# `unwrap`: a run-time type checker's wrapper would stand between the compiler and the functions.
@numba.njit(cache=True, nogil=True)
@unwrap
def _move_complex(source, target, n, reach):
    """Every place of the table from its frequency, or from the conjugate of the opposite one."""
    edge = reach + MARGIN
    for p in range(target.shape[0]):
        for iz in range(target.shape[1]):
            z = (iz - edge) % n
            for iy in range(target.shape[2]):
                y = (iy - edge) % n
                row, opposite, out = source[p, z, y], source[p, (n - z) % n, (n - y) % n], target[p, iz, iy]
                for ix in range(target.shape[3]):
                    x = (ix - MARGIN) % n
                    out[ix] = row[x] if x <= n // 2 else opposite[n - x].conjugate()


@numba.njit(cache=True, nogil=True)
@unwrap
def _move_real(source, target, n, reach):
    """As `_move_complex`, of real numbers."""
    edge = reach + MARGIN
    for p in range(target.shape[0]):
        for iz in range(target.shape[1]):
            z = (iz - edge) % n
            for iy in range(target.shape[2]):
                y = (iy - edge) % n
                row, opposite, out = source[p, z, y], source[p, (n - z) % n, (n - y) % n], target[p, iz, iy]
                for ix in range(target.shape[3]):
                    x = (ix - MARGIN) % n
                    out[ix] = row[x] if x <= n // 2 else opposite[n - x]
