"""`torchsag.spectra.gather.gather_torch` as one CPU loop, and the same added to sums on the way."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from torchsag.spectra.bounds import mark_within
from torchsag.spectra.kaiser_bessel import WIDTH, kaiser_bessel
from torchsag.spectra.tables import MARGIN

# Window weights at 1,024 fractions between two samples; linear interpolation between them errs by 1e-6.
_STEPS = 1024
_TAPS = WIDTH


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
    others = (t.contiguous().numpy() for t in (weights, weight_index, rotations, shifts, points))
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


@intrinsic
def _window_sum(typingctx, table, offset, row, plane, wx, wy, wz):
    """Real and imaginary part of the samples under the window, four along each axis, from flat numbers.

    Four complex samples of a row are one vector of eight numbers; the compiler does not find that by itself (measured:
    twice as slow).
    """
    quartet = types.UniTuple(types.float32, _TAPS)
    signature = types.UniTuple(types.float32, 2)(table, types.intp, types.intp, types.intp, quartet, quartet, quartet)

    def codegen(context, builder, signature, args):
        table, offset, row, plane, wx, wy, wz = args
        lanes, int32 = ir.VectorType(ir.FloatType(), 2 * _TAPS), ir.IntType(32)
        undefined = ir.Constant(lanes, ir.Undefined)
        source = cgutils.create_struct_proxy(signature.args[0])(context, builder, table).data
        along_x, along_y, along_z = (cgutils.unpack_tuple(builder, factors) for factors in (wx, wy, wz))

        def splat(scalar):
            first = builder.insert_element(undefined, scalar, ir.Constant(int32, 0))
            zeros = ir.Constant(ir.VectorType(int32, 2 * _TAPS), [0] * (2 * _TAPS))
            return builder.shuffle_vector(first, undefined, zeros)

        def fast(operation, a, b):
            return operation(a, b, flags=("fast",))

        total = ir.Constant(lanes, [0.0] * (2 * _TAPS))
        start = offset
        for across in along_z:
            here, plane_total = start, ir.Constant(lanes, [0.0] * (2 * _TAPS))
            for factor in along_y:
                samples = builder.load(builder.bitcast(builder.gep(source, [here]), lanes.as_pointer()))
                samples.align = 4
                plane_total = fast(builder.fadd, plane_total, fast(builder.fmul, splat(factor), samples))
                here = builder.add(here, row)
            total = fast(builder.fadd, total, fast(builder.fmul, splat(across), plane_total))
            start = builder.add(start, plane)
        sums = []
        for part in range(2):
            terms = [
                fast(builder.fmul, factor, builder.extract_element(total, ir.Constant(int32, 2 * tap + part)))
                for tap, factor in enumerate(along_x)
            ]
            pairs = fast(builder.fadd, terms[0], terms[1]), fast(builder.fadd, terms[2], terms[3])
            sums.append(fast(builder.fadd, *pairs))
        return context.make_tuple(builder, signature.return_type, sums)

    return signature, codegen


# A run-time type checker's wrapper would stand between the compiler and the functions, hence `unwrap`.
@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def taps(window, fraction):
    """The window's four weights about a fraction between two samples."""
    place = fraction * np.float32(window.shape[0] - 2)
    step = int(place)
    rest = np.float32(place - step)
    low, high = window[step], window[step + 1]
    return (
        low[0] + rest * (high[0] - low[0]), low[1] + rest * (high[1] - low[1]),
        low[2] + rest * (high[2] - low[2]), low[3] + rest * (high[3] - low[3]),
    )  # fmt: skip


@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def windowed(table, shape, ix, iy, iz, wx, wy, wz):
    """Real and imaginary part of a table under the window of a cell, given its taps along each axis."""
    row = np.intp(2 * shape[2])
    plane = np.intp(shape[1]) * row
    first = np.intp(iz - 1) * plane + np.intp(iy - 1) * row + np.intp(2 * (ix - 1))
    return _window_sum(table, first, row, plane, wx, wy, wz)  # pyright: ignore[reportCallIssue]  # numba's context


@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def trilinear(weight, ix, iy, iz, fx, fy, fz):
    """A weight between the eight corners of a cell."""
    one, total = np.float32(1.0), np.float32(0.0)
    for a in range(2):
        wz = fz if a else one - fz
        for b in range(2):
            wy = fy if b else one - fy
            row = weight[iz + a, iy + b]
            total += wz * wy * (row[ix] * (one - fx) + row[ix + 1] * fx)
    return total


@numba.njit(fastmath=True, cache=True, nogil=True, inline="always")
@unwrap
def _read(table, shape, weight, turn, shift, window, half, x, y, z):
    """Weight, real and imaginary part at a place of one particle, which lies within the table."""
    sign = np.float32(1.0)
    if x < 0:
        x, y, z, sign = -x, -y, -z, -sign
    ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    ix, iy, iz = ix + MARGIN, iy + half, iz + half

    w = trilinear(weight, ix, iy, iz, fx, fy, fz)
    if w == 0:
        return w, np.float32(0.0), np.float32(0.0)

    re, im = windowed(table, shape, ix, iy, iz, taps(window, fx), taps(window, fy), taps(window, fz))
    # Undoing the shift at (x, y, z), which is the point or its mirror image, then mirroring the value back.
    angle = (x * shift[0] + y * shift[1] + z * shift[2]) * turn
    cos, sin = math.cos(angle), math.sin(angle)
    return w, re * cos - im * sin, sign * (re * sin + im * cos)


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
    limits, half, turn = limits_of(shape, n), n // 2 + MARGIN, np.float32(2 * math.pi / n)
    inside = np.empty(end - begin, np.bool_)
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
            out_weight[p, q], re, im = _read(table, shape, weight, turn, shift, window, half, x, y, z)
            out_value[p, q] = complex(re, im)


@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _add(numerator, denominator, owners, factors, inputs, begin, end, n, window):
    """Add to ``[groups, begin:end]`` in double precision. A point outside of a table makes its sums no number."""
    spectra, shape, weights, weight_index, rotations, shifts, points = inputs
    limits, half, turn = limits_of(shape, n), n // 2 + MARGIN, np.float32(2 * math.pi / n)
    inside = np.empty(end - begin, np.bool_)
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
            w, re, im = _read(table, shape, weight, turn, shift, window, half, x, y, z)
            if w != 0:
                scaled = factor * np.float64(w)
                top[q] += complex(scaled * np.float64(re), scaled * np.float64(im))
                bottom[q] += scaled * np.float64(w)
