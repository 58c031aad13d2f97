"""The fused form of `fourier_blocks.reference_block_sums` for CPUs: one pass over memory, no temporaries.

Compiled by numba on first use (a few seconds, cached on disk), so no compiler is needed on the user's machine. Memory
decides the speed: the eight-channel table is read rounded to 16 bits, a cell at a time
(`torchsag.likelihood.cell_blend`), and all else is copied into short arrays that stay in the first-level cache.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Integer
from numba import njit
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.cell_blend import blend_cell, transpose_cells
from torchsag.likelihood.observations import Observations
from torchsag.likelihood.sizes import SUMS, check_sizes
from torchsag.spectra.bounds import usable_pose
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import CHANNELS, FourierTable
from torchsag.spectra.unit_circle import unit_circle

_LANE = 64  # coefficients handled together: small enough for the first-level cache, long enough to vectorise


def fused_block_sums(
    table: FourierTable,
    band: FourierBand,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    terms: Integer[Tensor, " terms"],
    order: int = 2,
) -> Float[Tensor, "poses terms sums"]:
    """See `torchsag.likelihood.fourier_blocks.reference_block_sums`; poses are spread over torch's threads.

    Of order 0 only the first two of the 35 sums, of order 1 the first fourteen.
    """
    check_sizes(table, band, observed)
    rows, columns, _ = table.samples.shape[-3:]
    out = np.zeros((len(poses), len(terms), SUMS[order]), np.float32)
    data = torch.view_as_real(observed.data.contiguous()).flatten(1).numpy()
    rotations = poses.rotations.detach().contiguous().numpy()
    shifts = poses.shifts.detach().contiguous().numpy()
    particles = particle.numpy()
    maps = torch.zeros(len(data), dtype=torch.long) if observed.maps is None else observed.maps

    def run(part: slice) -> None:
        _accumulate(
            table.packed,
            rows,
            columns,
            table.oversampling,
            table.max_shell,
            band.box,
            band.packed.numpy(),
            data,
            observed.weights.numpy(),
            observed.weight_index.numpy(),
            maps.numpy(),
            particles[part],
            rotations[part],
            shifts[part],
            band.starts.numpy(),
            terms.numpy(),
            order,
            out[part],
        )

    threads = min(torch.get_num_threads(), len(poses))
    if threads <= 1:
        run(slice(None))
    else:
        bounds = np.linspace(0, len(poses), threads + 1).round().astype(int)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, [slice(a, b) for a, b in pairwise(bounds)]))
    return torch.from_numpy(out)


@njit(fastmath=True, cache=True, nogil=True, error_model="numpy", boundscheck=False)
@unwrap  # a run-time type checker's wrapper would stand between the compiler and the function
def _accumulate(
    table, rows, columns, oversampling, max_shell, box,
    frequencies, data, weights, weight_index, maps, particle, rotations, shifts, starts, terms, order, out,
):  # fmt: skip
    f32 = np.float32
    one = f32(1)
    fine = f32(oversampling)
    reach = f32(oversampling * (max_shell + 1))
    half_step = f32(0.5) / fine
    row = np.intp(columns * CHANNELS)
    plane = np.intp(rows * columns * CHANNELS)
    whole = np.intp(rows * plane)
    high, wide = np.int32(rows), np.int32(columns)
    shift_scale = f32(2 * math.pi / box)
    # How much a matrix may stretch the band before the table ends; a rotation does not.
    stretch = one + f32(0.5) / f32(max(max_shell, 1))
    offset = np.empty(_LANE, np.int32)
    k = np.empty((3, _LANE), np.float32)
    u = np.empty((3, _LANE), np.float32)
    t = np.empty((3, _LANE), np.float32)
    d = np.empty((2, _LANE), np.float32)
    w = np.empty(_LANE, np.float32)
    h = np.empty((3, _LANE), np.float32)
    cells = np.empty((_LANE, CHANNELS), np.float32)
    model = np.empty((CHANNELS, _LANE), np.float32)
    jacobian = np.empty((12, _LANE), np.float32)
    for q in range(rotations.shape[0]):
        p = particle[q]
        if not (0 <= p < data.shape[0] and 0 <= weight_index[p] < weights.shape[0]):
            raise IndexError("block sums: a pose's particle, or a particle's weight, does not exist")
        if not 0 <= maps[p] * whole < table.shape[0]:
            raise IndexError("block sums: a particle's map does not exist")
        first = np.intp(maps[p] * whole)
        own_weights = weights[weight_index[p]]
        own_data = data[p]
        r = rotations[q]
        if not usable_pose(r, shifts[q], stretch):
            out[q] = np.nan
            continue
        r00, r01, r02 = r[0, 0], r[0, 1], r[0, 2]
        r10, r11, r12 = r[1, 0], r[1, 1], r[1, 2]
        r20, r21, r22 = r[2, 0], r[2, 1], r[2, 2]
        turn_x, turn_y, turn_z = shifts[q, 0] / f32(box), shifts[q, 1] / f32(box), shifts[q, 2] / f32(box)
        for b in range(terms.shape[0]):
            sums = out[q, b]
            if not 0 <= terms[b] < starts.shape[0] - 1:
                raise IndexError("block sums: a term does not exist")
            i = starts[terms[b]]
            stop = starts[terms[b] + 1]
            while i < stop:
                count = np.uintp(0)
                full = np.uintp(min(stop - i, _LANE))
                used = 0
                for lane in range(full):
                    used += own_weights[np.uintp(i) + lane] > 0
                if used == full:
                    for lane in range(full):
                        j = np.uintp(i) + lane
                        k[0, lane], k[1, lane], k[2, lane] = frequencies[0, j], frequencies[1, j], frequencies[2, j]
                        d[0, lane], d[1, lane], w[lane] = own_data[2 * j], own_data[2 * j + 1], own_weights[j]
                    count = full
                    i += full
                else:
                    while i < stop and count < _LANE:
                        j = np.uintp(i)
                        k[0, count], k[1, count], k[2, count] = frequencies[0, j], frequencies[1, j], frequencies[2, j]
                        d[0, count], d[1, count], w[count] = own_data[2 * j], own_data[2 * j + 1], own_weights[j]
                        count += np.uintp(1) if own_weights[j] > 0 else np.uintp(0)
                        i += 1
                while count % CHANNELS:  # whole vectors
                    k[0, count], k[1, count], k[2, count] = 0, 0, 0
                    d[0, count], d[1, count], w[count] = 0, 0, 0
                    count += np.uintp(1)
                for lane in range(count):
                    kx, ky, kz = k[0, lane], k[1, lane], k[2, lane]
                    cos, sin = unit_circle(turn_x * kx + turn_y * ky + turn_z * kz)
                    re, im = d[0, lane], d[1, lane]
                    x = r00 * kx + r10 * ky + r20 * kz
                    y = r01 * kx + r11 * ky + r21 * kz
                    z = r02 * kx + r12 * ky + r22 * kz
                    # The table holds u_x >= 0; elsewhere all of it, data and u alike, is mirrored.
                    side = one if x >= 0 else -one
                    d[0, lane], d[1, lane] = re * cos - im * sin, (re * sin + im * cos) * side
                    x, y, z = x * side, y * side, z * side
                    u[0, lane], u[1, lane], u[2, lane] = x, y, z
                    gx, gy, gz = x * fine, y * fine + reach, z * fine + reach
                    cx, cy, cz = np.int32(gx), np.int32(gy), np.int32(gz)
                    x, y, z = gx - f32(cx), gy - f32(cy), gz - f32(cz)
                    t[0, lane], t[1, lane], t[2, lane] = x, y, z
                    h[0, lane] = half_step * x * (one - x)
                    h[1, lane] = half_step * y * (one - y)
                    h[2, lane] = half_step * z * (one - z)
                    offset[lane] = np.int32(np.int32(np.int32(np.int32(cz * high) + cy) * wide) + cx)
                for lane in range(count):
                    blend_cell(  # pyright: ignore[reportCallIssue]  # numba supplies the typing context
                        table, first + np.intp(offset[lane]) * CHANNELS, row, plane,
                        t[0, lane], t[1, lane], t[2, lane], h[0, lane], h[1, lane], h[2, lane], cells, np.intp(lane),
                    )  # fmt: skip
                for lane in range(0, count, CHANNELS):
                    transpose_cells(cells, np.intp(lane), model, np.intp(_LANE))  # pyright: ignore[reportCallIssue]
                cross, energy = f32(0), f32(0)
                for lane in range(count):
                    cross += d[0, lane] * model[0, lane] + d[1, lane] * model[1, lane]
                    energy += w[lane] * (model[0, lane] * model[0, lane] + model[1, lane] * model[1, lane])
                sums[0] += cross
                sums[1] += energy
                if order == 0:
                    continue
                for lane in range(count):
                    x, y, z = u[0, lane], u[1, lane], u[2, lane]
                    re, im = model[0, lane], model[1, lane]
                    xr, xi = model[2, lane], model[3, lane]
                    yr, yi = model[4, lane], model[5, lane]
                    zr, zi = model[6, lane], model[7, lane]
                    jacobian[0, lane], jacobian[1, lane] = y * zr - z * yr, y * zi - z * yi
                    jacobian[2, lane], jacobian[3, lane] = z * xr - x * zr, z * xi - x * zi
                    jacobian[4, lane], jacobian[5, lane] = x * yr - y * xr, x * yi - y * xi
                    sr, si = shift_scale * im, -shift_scale * re
                    jacobian[6, lane], jacobian[7, lane] = sr * x, si * x
                    jacobian[8, lane], jacobian[9, lane] = sr * y, si * y
                    jacobian[10, lane], jacobian[11, lane] = sr * z, si * z
                place = 14
                for a in range(6):
                    cross, energy = f32(0), f32(0)
                    for lane in range(count):
                        re, im = jacobian[2 * a, lane], jacobian[2 * a + 1, lane]
                        cross += d[0, lane] * re + d[1, lane] * im
                        energy += w[lane] * (model[0, lane] * re + model[1, lane] * im)
                    sums[2 + a] += cross
                    sums[8 + a] += energy
                    for c in range(a, 6 if order > 1 else a):
                        gram = f32(0)
                        for lane in range(count):
                            gram += w[lane] * (
                                jacobian[2 * a, lane] * jacobian[2 * c, lane]
                                + jacobian[2 * a + 1, lane] * jacobian[2 * c + 1, lane]
                            )
                        sums[place] += gram
                        place += 1
