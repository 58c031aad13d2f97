"""The fused form of `fourier_blocks.reference_block_sums` for CPUs: one pass over memory, no temporaries.

Compiled by numba on first use (a few seconds, cached on disk), so no compiler is needed on the user's machine. Memory
decides the speed: the eight-channel table is read with eight-lane vector loads, written out as LLVM instructions in
`_blend` because automatic vectorisation does not find them (measured: three times slower).
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Integer
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.observations import Observations
from torchsag.likelihood.sizes import SUMS, check_sizes
from torchsag.spectra.bounds import usable_pose
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import CHANNELS, FourierTable

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
    data = torch.view_as_real(observed.data.contiguous()).numpy()
    rotations = poses.rotations.detach().contiguous().numpy()
    shifts = poses.shifts.detach().contiguous().numpy()
    particles = particle.numpy()
    maps = torch.zeros(len(data), dtype=torch.long) if observed.maps is None else observed.maps

    def run(part: slice) -> None:
        _accumulate(
            table.samples.numpy().reshape(-1),
            rows,
            columns,
            table.oversampling,
            table.max_shell,
            band.box,
            band.frequencies.numpy(),
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


@intrinsic
def _blend(typingctx, table, offset, row, plane, tx, ty, tz, hx, hy, hz, out, place):
    """Interpolate all eight channels of one cell: `FourierTable.lookup` as eight-lane vector instructions."""
    signature = types.void(table, types.intp, types.intp, types.intp, *(types.float32,) * 6, out, types.intp)

    def codegen(context, builder, signature, args):
        table, offset, row, plane, tx, ty, tz, hx, hy, hz, out, place = args
        lanes = ir.VectorType(ir.FloatType(), CHANNELS)
        int32 = ir.IntType(32)
        undefined = ir.Constant(lanes, ir.Undefined)
        channels = ir.Constant(ir.IntType(64), CHANNELS)
        source = cgutils.create_struct_proxy(signature.args[0])(context, builder, table).data
        target = cgutils.create_struct_proxy(signature.args[10])(context, builder, out).data

        def pointer(base, index):
            return builder.bitcast(builder.gep(base, [index]), lanes.as_pointer())

        def load(index):
            loaded = builder.load(pointer(source, index))
            loaded.align = 4
            return loaded

        def splat(scalar):
            first = builder.insert_element(undefined, scalar, ir.Constant(int32, 0))
            return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(int32, CHANNELS), [0] * CHANNELS))

        def add(a, b):
            return builder.fadd(a, b, flags=("fast",))

        def sub(a, b):
            return builder.fsub(a, b, flags=("fast",))

        def mul(a, b):
            return builder.fmul(a, b, flags=("fast",))

        def lerp(a, b, t):
            return add(a, mul(t, sub(b, a)))

        x, y, z = splat(tx), splat(ty), splat(tz)
        corners = [offset, builder.add(offset, row), builder.add(offset, plane)]
        corners.append(builder.add(corners[1], plane))
        low = [load(corner) for corner in corners]
        high = [load(builder.add(corner, channels)) for corner in corners]
        along_x = [lerp(a, b, x) for a, b in zip(low, high, strict=True)]
        drop_x = [sub(a, b) for a, b in zip(low, high, strict=True)]
        near, far = lerp(along_x[0], along_x[1], y), lerp(along_x[2], along_x[3], y)
        value = lerp(near, far, z)
        drops = [
            lerp(lerp(drop_x[0], drop_x[1], y), lerp(drop_x[2], drop_x[3], y), z),
            lerp(sub(along_x[0], along_x[1]), sub(along_x[2], along_x[3]), z),
            sub(near, far),
        ]
        zero = ir.Constant(lanes, [0.0] * CHANNELS)
        for axis, (drop, height) in enumerate(zip(drops, (hx, hy, hz), strict=True)):
            pair = 2 + 2 * axis
            order = ir.Constant(ir.VectorType(int32, CHANNELS), [pair, pair + 1] + [CHANNELS] * (CHANNELS - 2))
            value = add(value, builder.shuffle_vector(mul(splat(height), drop), zero, order))
        stored = builder.store(value, pointer(target, builder.mul(place, channels)))
        stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


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
    edge = max_shell
    # How much a matrix may stretch the band before the table ends; a rotation does not.
    stretch = one + f32(0.5) / f32(max(max_shell, 1))
    wave_x = np.empty((2 * edge + 1, 2), np.float32)
    wave_y = np.empty((2 * edge + 1, 2), np.float32)
    wave_z = np.empty((2 * edge + 1, 2), np.float32)
    chosen = np.empty(_LANE, np.int64)
    offset = np.empty(_LANE, np.int32)
    k = np.empty((3, _LANE), np.float32)
    u = np.empty((3, _LANE), np.float32)
    t = np.empty((3, _LANE), np.float32)
    d = np.empty((2, _LANE), np.float32)
    w = np.empty(_LANE, np.float32)
    model = np.empty((_LANE, CHANNELS), np.float32)
    g = np.empty((2, _LANE), np.float32)
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
        # exp(+2 pi i k.t / n) as a product of three one-dimensional tables: no sine or cosine per coefficient.
        for wave, shift in ((wave_x, shifts[q, 0]), (wave_y, shifts[q, 1]), (wave_z, shifts[q, 2])):
            step = 2 * math.pi * shift / box
            for number in range(2 * edge + 1):
                wave[number, 0], wave[number, 1] = math.cos(step * (number - edge)), math.sin(step * (number - edge))
        for b in range(terms.shape[0]):
            sums = out[q, b]
            if not 0 <= terms[b] < starts.shape[0] - 1:
                raise IndexError("block sums: a term does not exist")
            i = starts[terms[b]]
            stop = starts[terms[b] + 1]
            while i < stop:
                count = 0
                while i < stop and count < _LANE:
                    chosen[count] = i
                    count += 1 if own_weights[i] > 0 else 0
                    i += 1
                for lane in range(count):
                    j = np.uintp(chosen[lane])
                    w[lane] = own_weights[j]
                    ix, iy, iz = frequencies[j, 0], frequencies[j, 1], frequencies[j, 2]
                    k[0, lane], k[1, lane], k[2, lane] = f32(ix), f32(iy), f32(iz)
                    ax, bx = wave_x[np.uintp(ix + edge), 0], wave_x[np.uintp(ix + edge), 1]
                    ay, by = wave_y[np.uintp(iy + edge), 0], wave_y[np.uintp(iy + edge), 1]
                    az, bz = wave_z[np.uintp(iz + edge), 0], wave_z[np.uintp(iz + edge), 1]
                    cos_xy, sin_xy = ax * ay - bx * by, ax * by + bx * ay
                    cos, sin = cos_xy * az - sin_xy * bz, cos_xy * bz + sin_xy * az
                    re, im = own_data[j, 0], own_data[j, 1]
                    d[0, lane], d[1, lane] = re * cos - im * sin, re * sin + im * cos
                for lane in range(count):
                    kx, ky, kz = k[0, lane], k[1, lane], k[2, lane]
                    x = r00 * kx + r10 * ky + r20 * kz
                    y = r01 * kx + r11 * ky + r21 * kz
                    z = r02 * kx + r12 * ky + r22 * kz
                    # The table holds u_x >= 0; elsewhere all of it, data and u alike, is mirrored.
                    side = one if x >= 0 else -one
                    d[1, lane] *= side
                    x, y, z = x * side, y * side, z * side
                    u[0, lane], u[1, lane], u[2, lane] = x, y, z
                    gx, gy, gz = x * fine, y * fine + reach, z * fine + reach
                    cx, cy, cz = np.int32(gx), np.int32(gy), np.int32(gz)
                    t[0, lane], t[1, lane], t[2, lane] = gx - f32(cx), gy - f32(cy), gz - f32(cz)
                    offset[lane] = np.int32((cz * high + cy) * wide + cx)
                for lane in range(count):
                    x, y, z = t[0, lane], t[1, lane], t[2, lane]
                    _blend(  # pyright: ignore[reportCallIssue]  # numba supplies the typing context
                        table, first + np.intp(offset[lane]) * CHANNELS, row, plane, x, y, z,
                        half_step * x * (one - x), half_step * y * (one - y), half_step * z * (one - z),
                        model, np.intp(lane),
                    )  # fmt: skip
                for lane in range(count):
                    g[0, lane], g[1, lane] = model[lane, 0], model[lane, 1]
                cross, energy = f32(0), f32(0)
                for lane in range(count):
                    cross += d[0, lane] * g[0, lane] + d[1, lane] * g[1, lane]
                    energy += w[lane] * (g[0, lane] * g[0, lane] + g[1, lane] * g[1, lane])
                sums[0] += cross
                sums[1] += energy
                if order == 0:
                    continue
                for lane in range(count):
                    x, y, z = u[0, lane], u[1, lane], u[2, lane]
                    re, im = g[0, lane], g[1, lane]
                    xr, xi = model[lane, 2], model[lane, 3]
                    yr, yi = model[lane, 4], model[lane, 5]
                    zr, zi = model[lane, 6], model[lane, 7]
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
                        energy += w[lane] * (g[0, lane] * re + g[1, lane] * im)
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
