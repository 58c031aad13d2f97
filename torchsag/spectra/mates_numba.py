"""`torchsag.spectra.mates.mate_sums_torch` as one CPU loop."""

import math
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.bounds import within_box
from torchsag.spectra.gather_numba import WINDOW
from torchsag.spectra.tables import MARGIN


def mate_sums_numba(
    spectra: Complex[Tensor, "maps pz py px"],
    weights: Float[Tensor, "maps pz py px"],
    rotations: Float[Tensor, "mates 3 3"],
    points: Float[Tensor, "points 3"],
    n: int,
) -> tuple[Complex[Tensor, "maps points"], Float[Tensor, "maps points"]]:
    """`torchsag.spectra.mates.mate_sums` for CPU tensors, on as many threads as torch is set to use."""
    if weights.shape != spectra.shape:
        raise ValueError(f"mates: expected tables of one shape, got {tuple(spectra.shape)} and {tuple(weights.shape)}")
    total = torch.empty(len(points), len(spectra), dtype=torch.complex128)
    weight_total = torch.empty(len(points), len(spectra), dtype=torch.float64)
    # Maps last: what is read at one place stands together.
    values = torch.view_as_real(spectra.to(torch.complex64)).movedim(0, -2).contiguous().flatten(-2).numpy()
    factors = weights.float().movedim(0, -1).contiguous().numpy()
    turns, places = rotations.float().contiguous().numpy(), points.float().contiguous().numpy()
    workers = torch.get_num_threads()
    edges = np.linspace(0, len(points), workers + 1).astype(np.int64)

    def work(part: int) -> None:
        begin, end = edges[part], edges[part + 1]
        _fill(total.numpy(), weight_total.numpy(), values, factors, turns, places, begin, end, n, WINDOW)

    if workers == 1:
        work(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(workers)))
    return total.T.contiguous(), weight_total.T.contiguous()


# A run-time type checker's wrapper would stand between the compiler and the function, hence `unwrap`.
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _fill(out_value, out_weight, values, factors, turns, points, begin, end, n, window):
    """Fill ``[begin:end]``; float32 but for the sums. A point outside of the tables makes its sums no number."""
    maps, steps = factors.shape[3], window.shape[0] - 2
    half = n // 2 + MARGIN
    low_x, high_x = np.float32(1 - MARGIN), np.float32(factors.shape[2] - 2 - MARGIN)
    low, high = np.float32(1 - half), np.float32(min(factors.shape[0], factors.shape[1]) - 2 - half)
    one = np.float32(1.0)
    here, weight = np.empty(2 * maps, np.float32), np.empty(maps, np.float32)
    for q in range(begin, end):
        qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
        for m in range(maps):
            out_value[q, m] = 0
            out_weight[q, m] = 0
        for r in range(turns.shape[0]):
            x = turns[r, 0, 0] * qx + turns[r, 0, 1] * qy + turns[r, 0, 2] * qz
            y = turns[r, 1, 0] * qx + turns[r, 1, 1] * qy + turns[r, 1, 2] * qz
            z = turns[r, 2, 0] * qx + turns[r, 2, 1] * qy + turns[r, 2, 2] * qz
            sign = one
            if x < 0:
                x, y, z, sign = -x, -y, -z, -one
            if not within_box(x, y, z, low_x, high_x, low, high):
                for m in range(maps):
                    out_weight[q, m] = np.nan
                    out_value[q, m] = complex(np.nan, np.nan)
                continue
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
            ix, iy, iz = ix + MARGIN, iy + half, iz + half
            weight[:] = 0
            for a in range(2):
                wz = fz if a else one - fz
                for b in range(2):
                    wy = wz * (fy if b else one - fy)
                    left, right = factors[iz + a, iy + b, ix], factors[iz + a, iy + b, ix + 1]
                    w0, w1 = wy * (one - fx), wy * fx
                    for m in range(maps):
                        weight[m] += w0 * left[m] + w1 * right[m]
            sx, sy, sz = fx * steps, fy * steps, fz * steps
            jx, jy, jz = int(sx), int(sy), int(sz)
            ux, uy, uz = np.float32(sx - jx), np.float32(sy - jy), np.float32(sz - jz)
            wx0 = window[jx, 0] + ux * (window[jx + 1, 0] - window[jx, 0])
            wx1 = window[jx, 1] + ux * (window[jx + 1, 1] - window[jx, 1])
            wx2 = window[jx, 2] + ux * (window[jx + 1, 2] - window[jx, 2])
            wx3 = window[jx, 3] + ux * (window[jx + 1, 3] - window[jx, 3])
            here[:] = 0
            for a in range(4):
                wz = window[jz, a] + uz * (window[jz + 1, a] - window[jz, a])
                for b in range(4):
                    wy = wz * (window[jy, b] + uy * (window[jy + 1, b] - window[jy, b]))
                    row = values[iz + a - 1, iy + b - 1]
                    c0, c1, c2, c3 = row[ix - 1], row[ix], row[ix + 1], row[ix + 2]
                    w0, w1, w2, w3 = wy * wx0, wy * wx1, wy * wx2, wy * wx3
                    for c in range(2 * maps):
                        here[c] += w0 * c0[c] + w1 * c1[c] + w2 * c2[c] + w3 * c3[c]
            for m in range(maps):
                out_weight[q, m] += weight[m]
                out_value[q, m] += complex(weight[m] * here[2 * m], sign * weight[m] * here[2 * m + 1])
