"""`torchsag.spectra.gather.gather_torch` as one CPU loop, and the same added to sums on the way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.spectra.bounds import mark_within
from torchsag.spectra.kaiser_bessel import WIDTH, kaiser_bessel
from torchsag.spectra.tables import MARGIN
from torchsag.spectra.unit_circle import unit_circle
from torchsag.spectra.window_cells import corner_blend, fill_window, window_sum

# Window weights at 1,024 fractions between two samples; linear interpolation between them errs by 1e-6.
_STEPS = 1024


def _window_table() -> np.ndarray:
    fraction = torch.linspace(0, 1, _STEPS + 1, dtype=torch.float64)[:, None]
    taps = torch.arange(1 - WIDTH // 2, 1 + WIDTH // 2, dtype=torch.float64)
    return kaiser_bessel(fraction - taps).float().numpy()


WINDOW = np.concatenate([_window_table(), np.zeros((1, WIDTH), np.float32)])


def gather_numba(
    spectra: Complex[Tensor, "particles pz py px"],
    weights: Float[Tensor, "weights pz py px"],
    weight_index: Integer[Tensor, " particles"],
    rotations: Float[Tensor, "particles 3 3"],
    shifts: Float[Tensor, "particles 3"],
    points: Float[Tensor, "points 3"],
    n: int,
) -> tuple[Complex[Tensor, "particles points"], Float[Tensor, "particles points"]]:
    """`torchsag.spectra.gather.gather_torch` for CPU tensors, on as many threads as torch is set to use."""
    value = torch.empty(len(spectra), len(points), dtype=torch.complex64)
    weight = torch.empty(len(spectra), len(points), dtype=torch.float32)
    inputs = _checked(spectra, weights, weight_index, rotations, shifts, points)
    _in_parts(len(points), lambda begin, end: _fill(value.numpy(), weight.numpy(), inputs, begin, end, n, WINDOW))
    return value, weight


def gather_into_sums(
    sums: tuple[Complex[Tensor, "groups points"], Float[Tensor, "groups points"]],
    groups: Integer[Tensor, " particles"],
    strength: Float[Tensor, " particles"],
    spectra: Complex[Tensor, "particles pz py px"],
    weights: Float[Tensor, "weights pz py px"],
    weight_index: Integer[Tensor, " particles"],
    rotations: Float[Tensor, "particles 3 3"],
    shifts: Float[Tensor, "particles 3"],
    points: Float[Tensor, "points 3"],
    n: int,
) -> None:
    """Add strength times weight times value, and strength times squared weight, to the sums of each particle's group.

    In double precision, in place; `sums` are contiguous and on the CPU. Values and weights as of `gather_numba`, which
    are not kept.
    """
    inputs = _checked(spectra, weights, weight_index, rotations, shifts, points)
    if not len(groups) == len(strength) == len(spectra) or any(part.shape[1] != len(points) for part in sums):
        raise ValueError(f"gather: expected sums over {len(points)} points, got {tuple(sums[0].shape)}")
    numerator, denominator = (part.numpy() for part in sums)
    owners, factors = groups.long().contiguous().numpy(), strength.double().contiguous().numpy()
    _in_parts(
        len(points), lambda begin, end: _add(numerator, denominator, owners, factors, inputs, begin, end, n, WINDOW)
    )


def _checked(spectra: Tensor, weights: Tensor, weight_index: Tensor, rotations: Tensor, shifts: Tensor, points: Tensor):
    """What the loops read, as arrays; they look at indices and places themselves."""
    if weights.shape[1:] != spectra.shape[1:] or not len(spectra) == len(weight_index) == len(rotations) == len(shifts):
        raise ValueError(f"gather: expected tables of one shape, got {tuple(spectra.shape)} and {tuple(weights.shape)}")
    numbers = torch.view_as_real(spectra.resolve_conj().to(torch.complex64).contiguous()).flatten(1)
    shape = spectra.shape[1], spectra.shape[2], spectra.shape[3]
    others = (t.contiguous().numpy() for t in (weights.flatten(1), weight_index, rotations, shifts, points))
    return (numbers.numpy(), shape, *others)


def _in_parts(count: int, work: Callable[[int, int], None]) -> None:
    """Points shared among as many threads as torch is set to use."""
    workers = torch.get_num_threads()
    edges = np.linspace(0, count, workers + 1).astype(np.int64)
    if workers == 1:
        work(edges[0], edges[1])
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, edges[:-1], edges[1:]))


# A run-time type checker's wrapper would stand between the compiler and the functions, hence `unwrap`.
@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def cell_of(shape, half, x, y, z):
    """Where the cell around a place with x >= 0 begins in a flat table, and how far the place is into it."""
    x, y, z = x + np.float32(MARGIN), y + np.float32(half), z + np.float32(half)
    ix, iy, iz = np.int32(x), np.int32(y), np.int32(z)
    first = (np.intp(iz) * np.intp(shape[1]) + np.intp(iy)) * np.intp(shape[2]) + np.intp(ix)
    return first, x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)


@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def windowed(table, shape, first, taps):
    """Real and imaginary part of a table under the window around a cell, given the window's taps."""
    row, plane = np.intp(shape[2]), np.intp(shape[1]) * np.intp(shape[2])
    corner = first - plane - row - 1
    return window_sum(table, 2 * corner, 2 * row, 2 * plane, taps)  # pyright: ignore[reportCallIssue]  # numba's context


@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def trilinear(weight, shape, first, fx, fy, fz):
    """A weight between the eight corners of a cell."""
    row, plane = np.intp(shape[2]), np.intp(shape[1]) * np.intp(shape[2])
    return corner_blend(weight, first, row, plane, fx, fy, fz)  # pyright: ignore[reportCallIssue]  # numba's context


@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def _read(table, shape, weight, turn, shift, window, taps, half, x, y, z):
    """Weight, real and imaginary part at a place of one particle, which lies within the table."""
    side = np.float32(1.0) if x >= 0 else np.float32(-1.0)
    x, y, z = side * x, side * y, side * z
    first, fx, fy, fz = cell_of(shape, half, x, y, z)
    w = trilinear(weight, shape, first, fx, fy, fz)
    if w == 0:
        return w, np.float32(0.0), np.float32(0.0)
    fill_window(window, fx, fy, fz, taps)  # pyright: ignore[reportCallIssue]  # numba's context
    re, im = windowed(table, shape, first, taps)
    # Undoing the shift at (x, y, z), which is the point or its mirror image, then mirroring the value back.
    cos, sin = unit_circle((x * shift[0] + y * shift[1] + z * shift[2]) * turn)
    return w, re * cos - im * sin, side * (re * sin + im * cos)


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def limits_of(shape, n):
    """Where the window around a point lies in the table: from one sample before its cell to two after it."""
    half = n // 2 + MARGIN
    return (
        np.float32(1 - MARGIN), np.float32(shape[2] - 2 - MARGIN),
        np.float32(1 - half), np.float32(min(shape[0], shape[1]) - 2 - half),
    )  # fmt: skip


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _fill(out_value, out_weight, inputs, begin, end, n, window):
    """Fill ``[particles, begin:end]``; float32 throughout. A point outside of the table reads no number."""
    spectra, shape, weights, weight_index, rotations, shifts, points = inputs
    limits, half, turn = limits_of(shape, n), n // 2 + MARGIN, np.float32(1 / n)
    inside, taps = np.empty(end - begin, np.bool_), np.empty(3 * WIDTH, np.float32)
    for p in range(spectra.shape[0]):
        if not 0 <= weight_index[p] < weights.shape[0]:
            raise IndexError("gather: a particle's weight does not exist")
        table, weight, r, shift = spectra[p], weights[weight_index[p]], rotations[p], shifts[p]
        mark_within(inside, r, points, begin, limits)
        for q in range(begin, end):
            if not inside[q - begin]:
                out_weight[p, q] = np.nan
                out_value[p, q] = complex(np.nan, np.nan)
                continue
            qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
            x = r[0, 0] * qx + r[0, 1] * qy + r[0, 2] * qz
            y = r[1, 0] * qx + r[1, 1] * qy + r[1, 2] * qz
            z = r[2, 0] * qx + r[2, 1] * qy + r[2, 2] * qz
            out_weight[p, q], re, im = _read(table, shape, weight, turn, shift, window, taps, half, x, y, z)
            out_value[p, q] = complex(re, im)


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _add(numerator, denominator, owners, factors, inputs, begin, end, n, window):
    """Add to ``[groups, begin:end]`` in double precision. A point outside of a table makes its sums no number."""
    spectra, shape, weights, weight_index, rotations, shifts, points = inputs
    limits, half, turn = limits_of(shape, n), n // 2 + MARGIN, np.float32(1 / n)
    inside, taps = np.empty(end - begin, np.bool_), np.empty(3 * WIDTH, np.float32)
    for p in range(spectra.shape[0]):
        if not 0 <= weight_index[p] < weights.shape[0]:
            raise IndexError("gather: a particle's weight does not exist")
        if not 0 <= owners[p] < numerator.shape[0]:
            raise IndexError("gather: a particle's group does not exist")
        table, weight, r, shift = spectra[p], weights[weight_index[p]], rotations[p], shifts[p]
        mark_within(inside, r, points, begin, limits)
        top, bottom, factor = numerator[owners[p]], denominator[owners[p]], factors[p]
        for q in range(begin, end):
            if not inside[q - begin]:
                top[q] = complex(np.nan, np.nan)
                bottom[q] = np.nan
                continue
            qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
            x = r[0, 0] * qx + r[0, 1] * qy + r[0, 2] * qz
            y = r[1, 0] * qx + r[1, 1] * qy + r[1, 2] * qz
            z = r[2, 0] * qx + r[2, 1] * qy + r[2, 2] * qz
            w, re, im = _read(table, shape, weight, turn, shift, window, taps, half, x, y, z)
            if w != 0:
                scaled = factor * np.float64(w)
                top[q] += complex(scaled * np.float64(re), scaled * np.float64(im))
                bottom[q] += scaled * np.float64(w)
