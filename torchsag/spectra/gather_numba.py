"""`torchsag.spectra.gather.gather_torch` as one CPU loop."""

import math
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
    inputs = tuple(t.contiguous().numpy() for t in (spectra, weights, weight_index, rotations, shifts, points))
    if weights.shape[1:] != spectra.shape[1:] or not len(spectra) == len(weight_index) == len(rotations) == len(shifts):
        raise ValueError(f"gather: expected tables of one shape, got {tuple(spectra.shape)} and {tuple(weights.shape)}")
    workers = torch.get_num_threads()
    edges = np.linspace(0, len(points), workers + 1).astype(np.int64)

    def work(part: int) -> None:
        _fill(value.numpy(), weight.numpy(), inputs, edges[part], edges[part + 1], n, WINDOW)

    if workers == 1:
        work(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(workers)))
    return value, weight


# A run-time type checker's wrapper would stand between the compiler and the function, hence `unwrap`.
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _fill(out_value, out_weight, inputs, begin, end, n, window):
    """Fill ``[particles, begin:end]``; float32 throughout. A point outside of the table reads no number."""
    spectra, weights, weight_index, rotations, shifts, points = inputs
    steps = window.shape[0] - 2
    half = n // 2 + MARGIN
    # Where the window around a point lies in the table: from one sample before its cell to two after it.
    low_x, high_x = np.float32(1 - MARGIN), np.float32(spectra.shape[3] - 2 - MARGIN)
    low, high = np.float32(1 - half), np.float32(min(spectra.shape[1], spectra.shape[2]) - 2 - half)
    turn = np.float32(2 * math.pi / n)
    for p in range(spectra.shape[0]):
        if not 0 <= weight_index[p] < weights.shape[0]:
            raise IndexError("gather: a particle's weight does not exist")
        table, weight = spectra[p], weights[weight_index[p]]
        r00, r01, r02 = rotations[p, 0, 0], rotations[p, 0, 1], rotations[p, 0, 2]
        r10, r11, r12 = rotations[p, 1, 0], rotations[p, 1, 1], rotations[p, 1, 2]
        r20, r21, r22 = rotations[p, 2, 0], rotations[p, 2, 1], rotations[p, 2, 2]
        tx, ty, tz = shifts[p, 0] * turn, shifts[p, 1] * turn, shifts[p, 2] * turn
        for q in range(begin, end):
            qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
            x = r00 * qx + r01 * qy + r02 * qz
            y = r10 * qx + r11 * qy + r12 * qz
            z = r20 * qx + r21 * qy + r22 * qz
            sign = np.float32(1.0)
            if x < 0:
                x, y, z, sign = -x, -y, -z, np.float32(-1.0)
            if not within_box(x, y, z, low_x, high_x, low, high):
                out_weight[p, q] = np.nan
                out_value[p, q] = complex(np.nan, np.nan)
                continue
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
            ix, iy, iz = ix + MARGIN, iy + half, iz + half

            w = np.float32(0.0)
            for a in range(2):
                wz = fz if a else np.float32(1.0) - fz
                for b in range(2):
                    wy = fy if b else np.float32(1.0) - fy
                    row = weight[iz + a, iy + b]
                    w += wz * wy * (row[ix] * (np.float32(1.0) - fx) + row[ix + 1] * fx)
            out_weight[p, q] = w
            if w == 0:
                out_value[p, q] = 0
                continue

            sx, sy, sz = fx * steps, fy * steps, fz * steps
            jx, jy, jz = int(sx), int(sy), int(sz)
            ux, uy, uz = np.float32(sx - jx), np.float32(sy - jy), np.float32(sz - jz)
            wx0 = window[jx, 0] + ux * (window[jx + 1, 0] - window[jx, 0])
            wx1 = window[jx, 1] + ux * (window[jx + 1, 1] - window[jx, 1])
            wx2 = window[jx, 2] + ux * (window[jx + 1, 2] - window[jx, 2])
            wx3 = window[jx, 3] + ux * (window[jx + 1, 3] - window[jx, 3])
            re, im = np.float32(0.0), np.float32(0.0)
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
            angle = x * tx + y * ty + z * tz
            cos, sin = math.cos(angle), math.sin(angle)
            out_value[p, q] = complex(re * cos - im * sin, sign * (re * sin + im * cos))
