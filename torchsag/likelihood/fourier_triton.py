"""The fused form of `fourier_blocks.reference_block_sums` for GPUs: one launch, no temporaries, no atomics.

One program sums one block of coefficients at one pose. Each of its lanes keeps its own sums and adds them up at the
end, always in the same order, so that results do not depend on what else runs. Compiled by Triton on first use, once
for each order and block length class, and cached on disk.

Memory decides the speed here too: a coefficient reads eight corners of eight channels. As 16 bits each, as the loop for
CPUs reads them too, these are 128 bytes in four pieces; real and imaginary part come in one load.
"""

# No `from __future__ import annotations`: Triton reads the annotations of its functions.

from inspect import unwrap

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Integer
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from torchsag.geometry import Poses
from torchsag.likelihood.observations import Observations
from torchsag.likelihood.sizes import SUMS, check_sizes, stretch_limit
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_SHORT = 256  # coefficients of a block that one warp sums alone: adding up lanes would cost more than it saves


def triton_block_sums(
    table: FourierTable,
    band: FourierBand,
    observed: Observations,
    poses: Poses,
    particle: Integer[Tensor, " poses"],
    terms: Integer[Tensor, " terms"],
    order: int = 2,
) -> Float[Tensor, "poses terms sums"]:
    """See `torchsag.likelihood.fourier_blocks.reference_block_sums`; of order 0 or 1 the first 2 or 14 of the sums.

    What does not exist (a particle, weight, map or term out of range) has sums that are NaN: to ask beforehand would
    mean to wait for the device.
    """
    check_sizes(table, band, observed)
    device = table.samples.device
    out = torch.empty(len(poses), len(terms), SUMS[order], device=device)
    if out.numel() == 0:
        return out
    lanes, warps = launch_shape(band)
    rows, columns = table.samples.shape[-3:-1]
    several = observed.maps is not None
    _block_sums[(len(poses) * len(terms),)](
        table.pairs,
        band.packed,
        torch.view_as_real(observed.data.contiguous()).view(torch.int64),
        observed.weights.contiguous(),
        observed.weight_index,
        observed.maps if several else observed.weight_index,
        particle,
        poses.rotations.detach().contiguous(),
        poses.shifts.detach().contiguous(),
        band.bounds,
        terms.to(device),
        out,
        len(terms),
        len(band),
        len(observed),
        len(observed.weights),
        table.maps,
        band.num_blocks,
        rows,
        columns,
        table.oversampling * (table.max_shell + 1),
        float(table.oversampling),
        1 / band.box,
        stretch_limit(table) ** 2,
        ORDER=order,
        SEVERAL=several,
        WIDTH=SUMS[order],
        LANES=lanes,
        num_warps=warps,
    )  # fmt: skip
    return out


def compiled_for(
    capability: int, order: int = 2, lanes: int = 32, warps: int = 1, several: bool = False
) -> triton.compiler.CompiledKernel:
    """The kernel for a kind of GPU (80 is compute capability 8.0), compiled without one.

    Its ``asm`` holds ``ptx`` and ``cubin``.
    """
    fixed = {"ORDER": order, "SEVERAL": several, "WIDTH": SUMS[order], "LANES": lanes}
    whole = dict.fromkeys(_NUMBERS, "i32") | dict.fromkeys(("fine", "per_box", "longest"), "fp32")
    signature = _POINTERS | whole | dict.fromkeys(fixed, "constexpr")
    source = ASTSource(_block_sums, {name: signature[name] for name in _block_sums.arg_names}, fixed)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})


def launch_shape(band: FourierBand) -> tuple[int, int]:
    """Lanes (coefficients at a time) and warps of a program."""
    longest = int(band.starts.diff().max())
    return (32, 1) if longest <= _SHORT else (128, 4)


# `unwrap`: a run-time type checker's wrapper would stand between the compiler and the functions.
@triton.jit
@unwrap
def _lerp(low, high, t):
    return low + t * (high - low)


@triton.jit
@unwrap
def _dot(w, ar, ai, br, bi):
    return w * (ar * br + ai * bi)


@triton.jit
@unwrap
def _parts(pointer, place, live):
    """Real and imaginary part of a complex number, which is one number of eight bytes here."""
    both = tl.load(pointer + place, mask=live, other=0)
    re = both.to(tl.int32).to(tl.float32, bitcast=True)
    im = (both >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    return re, im


@triton.jit
@unwrap
def _wave(turns):
    """Cosine and sine, to single precision, without the stack that CUDA's own set aside for enormous angles."""
    quarters = tl.floor(4 * turns + 0.5)
    a = 6.283185307179586 * (turns - 0.25 * quarters)
    s = a * a
    cos = 1 - s * (0.5 - s * (1 / 24 - s * (1 / 720 - s * (1 / 40320))))
    sin = a * (1 - s * (1 / 6 - s * (1 / 120 - s * (1 / 5040 - s * (1 / 362880)))))
    quadrant = quarters - 4 * tl.floor(0.25 * quarters)
    odd = (quadrant == 1) | (quadrant == 3)
    cos, sin = tl.where(odd, sin, cos), tl.where(odd, cos, sin)
    return tl.where((quadrant == 1) | (quadrant == 2), -cos, cos), tl.where(quadrant >= 2, -sin, sin)


@triton.jit
@unwrap
def _rounded_parts(pointer, place, live):
    """The same of a number of four bytes: two of which the upper halves of single precision are kept."""
    both = tl.load(pointer + place, mask=live, other=0)
    return (both << 16).to(tl.float32, bitcast=True), (both & -65536).to(tl.float32, bitcast=True)


@triton.jit
@unwrap
def _mix(l0, h0, l1, h1, l2, h2, l3, h3, x, y, z, PAIR: tl.constexpr):
    """Interpolate one number between eight corners; beside it how much it drops along the axis of its channel."""
    a0, a1, a2, a3 = _lerp(l0, h0, x), _lerp(l1, h1, x), _lerp(l2, h2, x), _lerp(l3, h3, x)
    near, far = _lerp(a0, a1, y), _lerp(a2, a3, y)
    if PAIR == 1:
        drop = _lerp(_lerp(l0 - h0, l1 - h1, y), _lerp(l2 - h2, l3 - h3, y), z)
    elif PAIR == 2:
        drop = _lerp(a0 - a1, a2 - a3, z)
    else:
        drop = near - far
    return _lerp(near, far, z), drop


@triton.jit
@unwrap
def _blend(table, cell, row, plane, live, x, y, z, PAIR: tl.constexpr):
    """A complex channel (value, d/dx, d/dy, d/dz) of `FourierTable.lookup`, and its drops."""
    here = cell + PAIR
    l0r, l0i = _rounded_parts(table, here, live)
    h0r, h0i = _rounded_parts(table, here + 4, live)
    l1r, l1i = _rounded_parts(table, here + row, live)
    h1r, h1i = _rounded_parts(table, here + row + 4, live)
    l2r, l2i = _rounded_parts(table, here + plane, live)
    h2r, h2i = _rounded_parts(table, here + plane + 4, live)
    l3r, l3i = _rounded_parts(table, here + plane + row, live)
    h3r, h3i = _rounded_parts(table, here + plane + row + 4, live)
    re, drop_re = _mix(l0r, h0r, l1r, h1r, l2r, h2r, l3r, h3r, x, y, z, PAIR)
    im, drop_im = _mix(l0i, h0i, l1i, h1i, l2i, h2i, l3i, h3i, x, y, z, PAIR)
    return re, im, drop_re, drop_im


_POINTERS = {
    "table": "*i32", "frequencies": "*fp32", "data": "*i64", "weights": "*fp32", "weight_index": "*i64", "maps": "*i64",
    "particle": "*i64", "rotations": "*fp32", "shifts": "*fp32", "bounds": "*i32", "terms": "*i64", "out": "*fp32",
}  # fmt: skip
# Whatever numbers a level has, it is the same program: a compilation takes seconds.
_NUMBERS = (
    "num_terms", "coefficients", "particles", "num_weights", "num_maps", "num_blocks", "rows", "columns", "reach",
    "fine", "per_box", "longest",
)  # fmt: skip


@triton.jit(do_not_specialize=_NUMBERS, do_not_specialize_on_alignment=tuple(_POINTERS))
@unwrap
def _block_sums(
    table, frequencies, data, weights, weight_index, maps, particle, rotations, shifts, bounds, terms, out,
    num_terms, coefficients, particles, num_weights, num_maps, num_blocks, rows, columns, reach, fine, per_box, longest,
    ORDER: tl.constexpr, SEVERAL: tl.constexpr, WIDTH: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    q = program // num_terms
    p = tl.load(particle + q)
    term = tl.load(terms + program % num_terms)
    exists = (p >= 0) & (p < particles) & (term >= 0) & (term < num_blocks)
    p = tl.where(exists, p, 0).to(tl.int64)
    term = tl.where(exists, term, 0)
    own = tl.load(weight_index + p).to(tl.int64)
    exists = exists & (own >= 0) & (own < num_weights)
    number = own * 0
    if SEVERAL:
        number = tl.load(maps + p).to(tl.int64)
        exists = exists & (number >= 0) & (number < num_maps)
    r = rotations + q * 9
    r00, r01, r02 = tl.load(r), tl.load(r + 1), tl.load(r + 2)
    r10, r11, r12 = tl.load(r + 3), tl.load(r + 4), tl.load(r + 5)
    r20, r21, r22 = tl.load(r + 6), tl.load(r + 7), tl.load(r + 8)
    sx, sy, sz = tl.load(shifts + q * 3), tl.load(shifts + q * 3 + 1), tl.load(shifts + q * 3 + 2)
    # False for NaN: nothing is read then.
    usable = exists & (r00 * r00 + r10 * r10 + r20 * r20 <= longest)
    usable = usable & (r01 * r01 + r11 * r11 + r21 * r21 <= longest) & (r02 * r02 + r12 * r12 + r22 * r22 <= longest)
    usable = usable & (tl.abs(sx) < 1e30) & (tl.abs(sy) < 1e30) & (tl.abs(sz) < 1e30)
    row = columns * 4
    plane = rows * row
    first = number * rows * plane
    start = tl.load(bounds + term)
    stop = tl.where(usable, tl.load(bounds + term + 1), start)
    half_step = 0.5 / fine
    radians = 6.283185307179586
    lane = tl.arange(0, LANES)
    zero = tl.full((LANES,), 0.0, tl.float32)
    cross, energy = zero, zero
    c0, c1, c2, c3, c4, c5 = zero, zero, zero, zero, zero, zero
    e0, e1, e2, e3, e4, e5 = zero, zero, zero, zero, zero, zero
    g00, g01, g02, g03, g04, g05 = zero, zero, zero, zero, zero, zero
    g11, g12, g13, g14, g15 = zero, zero, zero, zero, zero
    g22, g23, g24, g25 = zero, zero, zero, zero
    g33, g34, g35, g44, g45, g55 = zero, zero, zero, zero, zero, zero
    for begin in range(start, stop, LANES):
        i = begin + lane
        w = tl.load(weights + own * coefficients + i, mask=i < stop, other=0.0)
        live = w > 0
        kx = tl.load(frequencies + i, mask=live, other=0)
        ky = tl.load(frequencies + coefficients + i, mask=live, other=0)
        kz = tl.load(frequencies + 2 * coefficients + i, mask=live, other=0)
        re, im = _parts(data, p * coefficients + i, live)
        # The particle moved back: times exp(+2 pi i k.t / n).
        cos, sin = _wave((kx * sx + ky * sy + kz * sz) * per_box)
        x = r00 * kx + r10 * ky + r20 * kz
        y = r01 * kx + r11 * ky + r21 * kz
        z = r02 * kx + r12 * ky + r22 * kz
        # The table holds u_x >= 0; elsewhere all of it, data and u alike, is mirrored.
        side = tl.where(x >= 0, 1.0, -1.0)
        dr, di = re * cos - im * sin, side * (re * sin + im * cos)
        x, y, z = x * side, y * side, z * side
        px, py, pz = x * fine, y * fine + reach, z * fine + reach
        cx, cy, cz = px.to(tl.int32), py.to(tl.int32), pz.to(tl.int32)
        tx, ty, tz = px - cx, py - cy, pz - cz
        cell = first + ((cz * rows + cy) * columns + cx).to(tl.int64) * 4
        mr, mi, _a, _b = _blend(table, cell, row, plane, live, tx, ty, tz, 0)
        xr, xi, dxr, dxi = _blend(table, cell, row, plane, live, tx, ty, tz, 1)
        yr, yi, dyr, dyi = _blend(table, cell, row, plane, live, tx, ty, tz, 2)
        zr, zi, dzr, dzi = _blend(table, cell, row, plane, live, tx, ty, tz, 3)
        hx, hy, hz = half_step * tx * (1 - tx), half_step * ty * (1 - ty), half_step * tz * (1 - tz)
        mr += hx * dxr + hy * dyr + hz * dzr
        mi += hx * dxi + hy * dyi + hz * dzi
        cross += _dot(1.0, dr, di, mr, mi)
        energy += _dot(w, mr, mi, mr, mi)
        if ORDER > 0:
            j0r, j0i = y * zr - z * yr, y * zi - z * yi
            j1r, j1i = z * xr - x * zr, z * xi - x * zi
            j2r, j2i = x * yr - y * xr, x * yi - y * xi
            sr, si = radians * per_box * mi, -radians * per_box * mr
            j3r, j3i, j4r, j4i, j5r, j5i = sr * x, si * x, sr * y, si * y, sr * z, si * z
            c0 += _dot(1.0, dr, di, j0r, j0i)
            c1 += _dot(1.0, dr, di, j1r, j1i)
            c2 += _dot(1.0, dr, di, j2r, j2i)
            c3 += _dot(1.0, dr, di, j3r, j3i)
            c4 += _dot(1.0, dr, di, j4r, j4i)
            c5 += _dot(1.0, dr, di, j5r, j5i)
            e0 += _dot(w, mr, mi, j0r, j0i)
            e1 += _dot(w, mr, mi, j1r, j1i)
            e2 += _dot(w, mr, mi, j2r, j2i)
            e3 += _dot(w, mr, mi, j3r, j3i)
            e4 += _dot(w, mr, mi, j4r, j4i)
            e5 += _dot(w, mr, mi, j5r, j5i)
            if ORDER > 1:
                g00 += _dot(w, j0r, j0i, j0r, j0i)
                g01 += _dot(w, j0r, j0i, j1r, j1i)
                g02 += _dot(w, j0r, j0i, j2r, j2i)
                g03 += _dot(w, j0r, j0i, j3r, j3i)
                g04 += _dot(w, j0r, j0i, j4r, j4i)
                g05 += _dot(w, j0r, j0i, j5r, j5i)
                g11 += _dot(w, j1r, j1i, j1r, j1i)
                g12 += _dot(w, j1r, j1i, j2r, j2i)
                g13 += _dot(w, j1r, j1i, j3r, j3i)
                g14 += _dot(w, j1r, j1i, j4r, j4i)
                g15 += _dot(w, j1r, j1i, j5r, j5i)
                g22 += _dot(w, j2r, j2i, j2r, j2i)
                g23 += _dot(w, j2r, j2i, j3r, j3i)
                g24 += _dot(w, j2r, j2i, j4r, j4i)
                g25 += _dot(w, j2r, j2i, j5r, j5i)
                g33 += _dot(w, j3r, j3i, j3r, j3i)
                g34 += _dot(w, j3r, j3i, j4r, j4i)
                g35 += _dot(w, j3r, j3i, j5r, j5i)
                g44 += _dot(w, j4r, j4i, j4r, j4i)
                g45 += _dot(w, j4r, j4i, j5r, j5i)
                g55 += _dot(w, j5r, j5i, j5r, j5i)
    blank = tl.where(usable, 0.0, float("nan"))
    place = out + program.to(tl.int64) * WIDTH
    _put(place, 0, blank, cross, energy)
    if ORDER > 0:
        _put6(place, 2, blank, c0, c1, c2, c3, c4, c5)
        _put6(place, 8, blank, e0, e1, e2, e3, e4, e5)
    if ORDER > 1:
        _put6(place, 14, blank, g00, g01, g02, g03, g04, g05)
        _put6(place, 20, blank, g11, g12, g13, g14, g15, g22)
        _put6(place, 26, blank, g23, g24, g25, g33, g34, g35)
        _put(place, 32, blank, g44, g45)
        tl.store(place + 34, blank + tl.sum(g55, 0))


@triton.jit
@unwrap
def _put(place, first, blank, a, b):
    tl.store(place + first, blank + tl.sum(a, 0))
    tl.store(place + first + 1, blank + tl.sum(b, 0))


@triton.jit
@unwrap
def _put6(place, first, blank, a, b, c, d, e, f):
    _put(place, first, blank, a, b)
    _put(place, first + 2, blank, c, d)
    _put(place, first + 4, blank, e, f)
