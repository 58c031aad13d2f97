"""Cells of a `FourierTable` interpolated by vector instructions: what the fused kernel spends most of its time on.

Written out as LLVM instructions because automatic vectorisation does not find them (measured: three times slower). The
table is read as bfloat16, the upper half of a single-precision number (`FourierTable.packed`): where it does not fit a
processor's near caches, half the memory is nearly half the time. Its rounding, a thousandth, is about as large as the
error of the interpolation (0.0005 to 0.0024 of the value, over a phantom, a real map and a sharp one).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from torchsag.spectra.fourier_table import CHANNELS


@intrinsic
def blend_cell(typingctx, table, offset, row, plane, tx, ty, tz, hx, hy, hz, out, place):
    """Interpolate all eight channels of one cell into row `place` of `out`: `FourierTable.lookup`, vectorised.

    `offset` is where the cell's first corner begins in the flat table, `row` and `plane` lead to the next along y and
    z; `t*` are the places within the cell, `h*` the factors ``t (1 - t) / 2`` of the quadratic correction.
    """
    signature = types.void(table, types.intp, types.intp, types.intp, *(types.float32,) * 6, out, types.intp)

    def codegen(context, builder, signature, args):
        table, offset, row, plane, tx, ty, tz, hx, hy, hz, out, place = args
        int32 = ir.IntType(32)
        lanes, pair = (ir.VectorType(ir.FloatType(), n) for n in (CHANNELS, 2 * CHANNELS))
        halves = ir.VectorType(ir.IntType(16), 2 * CHANNELS)
        words = ir.VectorType(int32, 2 * CHANNELS)
        upper_half = ir.Constant(words, [16] * (2 * CHANNELS))
        source = cgutils.create_struct_proxy(signature.args[0])(context, builder, table).data
        target = cgutils.create_struct_proxy(signature.args[10])(context, builder, out).data

        def shuffle(vector, other, order):
            return builder.shuffle_vector(vector, other, ir.Constant(ir.VectorType(int32, len(order)), order))

        def both_corners(index):
            """The cell's two corners along x, which are neighbours in memory: all their channels."""
            loaded = builder.load(builder.bitcast(builder.gep(source, [index]), halves.as_pointer()))
            loaded.align = 2
            return builder.bitcast(builder.shl(builder.zext(loaded, words), upper_half), pair)

        def splat(scalar, width):
            vector = ir.Constant(ir.VectorType(ir.FloatType(), width), ir.Undefined)
            return shuffle(builder.insert_element(vector, scalar, ir.Constant(int32, 0)), vector, [0] * width)

        def add(a, b):
            return builder.fadd(a, b, flags=("fast",))

        def sub(a, b):
            return builder.fsub(a, b, flags=("fast",))

        def mul(a, b):
            return builder.fmul(a, b, flags=("fast",))

        def lerp(a, b, t):
            rise = sub(b, a)
            return add(a, mul(t, rise)), rise

        def along_x(both):
            first = list(range(CHANNELS))
            return lerp(shuffle(both, both, first), shuffle(both, both, [CHANNELS + c for c in first]), x)

        x, y, z = splat(tx, CHANNELS), splat(ty, 2 * CHANNELS), splat(tz, 2 * CHANNELS)
        over = builder.add(offset, plane)
        near, near_rise = lerp(both_corners(offset), both_corners(builder.add(offset, row)), y)
        far, far_rise = lerp(both_corners(over), both_corners(builder.add(over, row)), y)
        both, rise_z = lerp(near, far, z)
        value, rise_x = along_x(both)
        rise_y = along_x(lerp(near_rise, far_rise, z)[0])[0]
        rise_z = along_x(rise_z)[0]
        # The correction by the gradient along each axis, from the channels of that gradient alone.
        rises = shuffle(shuffle(rise_x, rise_y, [0, 1, 2, 3, 12, 13, 6, 7]), rise_z, [0, 1, 2, 3, 4, 5, 14, 15])
        heights = shuffle(splat(hx, CHANNELS), splat(hy, CHANNELS), [0, 1, 2, 3, 12, 13, 6, 7])
        bends = mul(shuffle(heights, splat(hz, CHANNELS), [0, 1, 2, 3, 4, 5, 14, 15]), rises)
        zero = ir.Constant(lanes, [0.0] * CHANNELS)
        for channel in (2, 4, 6):
            value = sub(value, shuffle(bends, zero, [channel, channel + 1] + [CHANNELS] * (CHANNELS - 2)))
        row_start = builder.mul(place, ir.Constant(ir.IntType(64), CHANNELS))
        stored = builder.store(value, builder.bitcast(builder.gep(target, [row_start]), lanes.as_pointer()))
        stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def transpose_cells(typingctx, rows, place, columns, stride):
    """Eight rows of eight channels, from row `place` on, into eight columns that lie `stride` apart in `columns`.

    Compilers make sixty-four scattered loads of it.
    """
    signature = types.void(rows, types.intp, columns, types.intp)

    def codegen(context, builder, signature, args):
        rows, place, columns, stride = args
        lanes = ir.VectorType(ir.FloatType(), CHANNELS)
        int64 = ir.IntType(64)
        source = cgutils.create_struct_proxy(signature.args[0])(context, builder, rows).data
        target = cgutils.create_struct_proxy(signature.args[2])(context, builder, columns).data

        def shuffle(a, b, order):
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), CHANNELS), order))

        def pointer(base, index):
            return builder.bitcast(builder.gep(base, [index]), lanes.as_pointer())

        vectors = []
        for row in range(CHANNELS):
            first = builder.mul(builder.add(place, ir.Constant(int64, row)), ir.Constant(int64, CHANNELS))
            vectors.append(builder.load(pointer(source, first)))
            vectors[-1].align = 4
        # Exchange of the off-diagonal quarters, then of those of each quarter, then of theirs.
        for size in (4, 2, 1):
            upper = [i + (CHANNELS - size if i & size else 0) for i in range(CHANNELS)]
            lower = [i + (CHANNELS if i & size else size) for i in range(CHANNELS)]
            pairs = [(row, row + size) for row in range(CHANNELS) if not row & size]
            for a, b in pairs:
                vectors[a], vectors[b] = (shuffle(vectors[a], vectors[b], order) for order in (upper, lower))
        for channel, vector in enumerate(vectors):
            first = builder.add(place, builder.mul(stride, ir.Constant(int64, channel)))
            stored = builder.store(vector, pointer(target, first))
            stored.align = 4
        return context.get_dummy_value()

    return signature, codegen
