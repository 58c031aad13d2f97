"""`torchsag.spectra.gather.gather_torch` as one CPU loop, and the same added to sums on the way."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.spectra.bounds import within_box
from torchsag.spectra.kaiser_bessel import WIDTH, kaiser_bessel
from torchsag.spectra.tables import MARGIN

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
    return tuple(t.contiguous().numpy() for t in (spectra, weights, weight_index, rotations, shifts, points))


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
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _read(table, weight, limits, turn, shift, window, half, x, y, z):
    """Weight, real and imaginary part at a place of one particle, and whether that lies within the table."""
    one, zero = np.float32(1.0), np.float32(0.0)
    steps = window.shape[0] - 2
    sign = one
    if x < 0:
        x, y, z, sign = -x, -y, -z, -one
    if not within_box(x, y, z, limits[0], limits[1], limits[2], limits[3]):
        return zero, zero, zero, False
    ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    ix, iy, iz = ix + MARGIN, iy + half, iz + half

    w = zero
    for a in range(2):
        wz = fz if a else one - fz
        for b in range(2):
            wy = fy if b else one - fy
            row = weight[iz + a, iy + b]
            w += wz * wy * (row[ix] * (one - fx) + row[ix + 1] * fx)
    if w == 0:
        return w, zero, zero, True

    sx, sy, sz = fx * steps, fy * steps, fz * steps
    jx, jy, jz = int(sx), int(sy), int(sz)
    ux, uy, uz = np.float32(sx - jx), np.float32(sy - jy), np.float32(sz - jz)
    wx0 = window[jx, 0] + ux * (window[jx + 1, 0] - window[jx, 0])
    wx1 = window[jx, 1] + ux * (window[jx + 1, 1] - window[jx, 1])
    wx2 = window[jx, 2] + ux * (window[jx + 1, 2] - window[jx, 2])
    wx3 = window[jx, 3] + ux * (window[jx + 1, 3] - window[jx, 3])
    re, im = zero, zero
    for a in range(4):
        wz = window[jz, a] + uz * (window[jz + 1, a] - window[jz, a])
        plane = table[iz + a - 1]
        for b in range(4):
            wy = wz * (window[jy, b] + uy * (window[jy + 1, b] - window[jy, b]))
            row = plane[iy + b - 1]
            c0, c1, c2, c3 = row[ix - 1], row[ix], row[ix + 1], row[ix + 2]
            re += wy * (wx0 * c0.real + wx1 * c1.real + wx2 * c2.real + wx3 * c3.real)
            im += wy * (wx0 * c0.imag + wx1 * c1.imag + wx2 * c2.imag + wx3 * c3.imag)
    # Undoing the shift at (x, y, z), which is the point or its mirror image, then mirroring the value back.
    angle = (x * shift[0] + y * shift[1] + z * shift[2]) * turn
    cos, sin = math.cos(angle), math.sin(angle)
    return w, re * cos - im * sin, sign * (re * sin + im * cos), True


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _limits(spectra, n):
    """Where the window around a point lies in the table: from one sample before its cell to two after it."""
    half = n // 2 + MARGIN
    return (
        np.float32(1 - MARGIN), np.float32(spectra.shape[3] - 2 - MARGIN),
        np.float32(1 - half), np.float32(min(spectra.shape[1], spectra.shape[2]) - 2 - half),
    )  # fmt: skip


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _fill(out_value, out_weight, inputs, begin, end, n, window):
    """Fill ``[particles, begin:end]``; float32 throughout. A point outside of the table reads no number."""
    spectra, weights, weight_index, rotations, shifts, points = inputs
    limits, half, turn = _limits(spectra, n), n // 2 + MARGIN, np.float32(2 * math.pi / n)
    for p in range(spectra.shape[0]):
        if not 0 <= weight_index[p] < weights.shape[0]:
            raise IndexError("gather: a particle's weight does not exist")
        table, weight, r, shift = spectra[p], weights[weight_index[p]], rotations[p], shifts[p]
        for q in range(begin, end):
            qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
            x = r[0, 0] * qx + r[0, 1] * qy + r[0, 2] * qz
            y = r[1, 0] * qx + r[1, 1] * qy + r[1, 2] * qz
            z = r[2, 0] * qx + r[2, 1] * qy + r[2, 2] * qz
            w, re, im, inside = _read(table, weight, limits, turn, shift, window, half, x, y, z)
            out_weight[p, q] = w if inside else np.nan
            out_value[p, q] = complex(re, im) if inside else complex(np.nan, np.nan)


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _add(numerator, denominator, owners, factors, inputs, begin, end, n, window):
    """Add to ``[groups, begin:end]`` in double precision. A point outside of a table makes its sums no number."""
    spectra, weights, weight_index, rotations, shifts, points = inputs
    limits, half, turn = _limits(spectra, n), n // 2 + MARGIN, np.float32(2 * math.pi / n)
    for p in range(spectra.shape[0]):
        if not 0 <= weight_index[p] < weights.shape[0]:
            raise IndexError("gather: a particle's weight does not exist")
        if not 0 <= owners[p] < numerator.shape[0]:
            raise IndexError("gather: a particle's group does not exist")
        table, weight, r, shift = spectra[p], weights[weight_index[p]], rotations[p], shifts[p]
        top, bottom, factor = numerator[owners[p]], denominator[owners[p]], factors[p]
        for q in range(begin, end):
            qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
            x = r[0, 0] * qx + r[0, 1] * qy + r[0, 2] * qz
            y = r[1, 0] * qx + r[1, 1] * qy + r[1, 2] * qz
            z = r[2, 0] * qx + r[2, 1] * qy + r[2, 2] * qz
            w, re, im, inside = _read(table, weight, limits, turn, shift, window, half, x, y, z)
            if not inside:
                top[q] = complex(np.nan, np.nan)
                bottom[q] = np.nan
            elif w != 0:
                scaled = factor * np.float64(w)
                top[q] += complex(scaled * np.float64(re), scaled * np.float64(im))
                bottom[q] += scaled * np.float64(w)
