"""Cells of padded tables read by vector instructions: what the compiled loops of `gather_numba` and `mates_numba` do.

Written out as LLVM instructions because compilers do not find them: four complex samples of a row are one vector of
eight numbers, the four taps of an axis one of four (measured against scalar code: a map's mates in half the time).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from torchsag.spectra.kaiser_bessel import WIDTH

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def _vector(width):
    return ir.VectorType(_FLOAT, width)


def _data(context, builder, kind, array):
    return cgutils.create_struct_proxy(kind)(context, builder, array).data


class _Instructions:
    """Vectors of single-precision numbers, put together."""

    def __init__(self, builder):
        self.builder = builder

    def load(self, source, index, width):
        loaded = self.builder.load(self.builder.bitcast(self.builder.gep(source, [index]), _vector(width).as_pointer()))
        loaded.align = 4
        return loaded

    def store(self, vector, target, place):
        at = self.builder.gep(target, [ir.Constant(_INT64, place)])
        self.builder.store(vector, self.builder.bitcast(at, vector.type.as_pointer())).align = 4

    def splat(self, scalar, width):
        vector = ir.Constant(_vector(width), ir.Undefined)
        vector = self.builder.insert_element(vector, scalar, ir.Constant(_INT32, 0))
        return self.shuffle(vector, [0] * width)

    def shuffle(self, vector, order):
        return self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INT32, len(order)), order))

    def add(self, a, b):
        return self.builder.fadd(a, b, flags=("fast",))

    def sub(self, a, b):
        return self.builder.fsub(a, b, flags=("fast",))

    def mul(self, a, b):
        return self.builder.fmul(a, b, flags=("fast",))

    def lerp(self, a, b, t):
        return self.add(a, self.mul(t, self.sub(b, a)))

    def element(self, vector, place):
        return self.builder.extract_element(vector, ir.Constant(_INT32, place))


@intrinsic
def fill_window(typingctx, window, fx, fy, fz, taps):
    """The window's four weights about a fraction between two samples along x, y and z, into twelve numbers.

    `window` holds them at equally spaced fractions, 0 to 1 and one row more; between its rows they are interpolated.
    """
    signature = types.void(window, *(types.float32,) * 3, taps)

    def codegen(context, builder, signature, args):
        window, *fractions, taps = args
        make = _Instructions(builder)
        kind = signature.args[0]
        source = _data(context, builder, kind, window)
        target = _data(context, builder, signature.args[4], taps)
        rows = builder.extract_value(cgutils.create_struct_proxy(kind)(context, builder, window).shape, 0)
        steps = builder.sitofp(builder.sub(rows, ir.Constant(rows.type, 2)), _FLOAT)
        for axis, fraction in enumerate(fractions):
            place = make.mul(fraction, steps)
            row = builder.fptosi(place, _INT32)
            rest = make.splat(make.sub(place, builder.sitofp(row, _FLOAT)), WIDTH)
            first = builder.mul(builder.sext(row, _INT64), ir.Constant(_INT64, WIDTH))
            low = make.load(source, first, WIDTH)
            high = make.load(source, builder.add(first, ir.Constant(_INT64, WIDTH)), WIDTH)
            make.store(make.lerp(low, high, rest), target, axis * WIDTH)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def window_sum(typingctx, table, offset, row, plane, taps):
    """Real and imaginary part of the samples under the window, four along each axis, times the taps of `fill_window`.

    The table is flat, real and imaginary parts by turns; `offset` is where the first sample under the window stands in
    it, `row` and `plane` lead to the next along y and z.
    """
    signature = types.UniTuple(types.float32, 2)(table, types.intp, types.intp, types.intp, taps)

    def codegen(context, builder, signature, args):
        table, offset, row, plane, taps = args
        make = _Instructions(builder)
        source = _data(context, builder, signature.args[0], table)
        weights = _data(context, builder, signature.args[4], taps)

        def along(axis):
            return make.load(weights, ir.Constant(_INT64, axis * WIDTH), WIDTH)

        def each(vector):
            return [make.shuffle(vector, [tap] * (2 * WIDTH)) for tap in range(WIDTH)]

        along_y, along_z = each(along(1)), each(along(2))
        total, start = None, offset
        for across in along_z:
            here, sheet = start, None
            for factor in along_y:
                term = make.mul(factor, make.load(source, here, 2 * WIDTH))
                sheet = term if sheet is None else make.add(sheet, term)
                here = builder.add(here, row)
            term = make.mul(across, sheet)
            total = term if total is None else make.add(total, term)
            start = builder.add(start, plane)
        total = make.mul(total, make.shuffle(along(0), [tap for tap in range(WIDTH) for _ in range(2)]))
        pairs = make.add(make.shuffle(total, [0, 1, 2, 3]), make.shuffle(total, [4, 5, 6, 7]))
        both = make.add(make.shuffle(pairs, [0, 1]), make.shuffle(pairs, [2, 3]))
        return context.make_tuple(builder, signature.return_type, [make.element(both, part) for part in range(2)])

    return signature, codegen


@intrinsic
def corner_blend(typingctx, table, offset, row, plane, fx, fy, fz):
    """A flat table of real numbers between the eight corners of a cell, linear along each axis.

    `offset` is where the first corner stands, `row` and `plane` lead to the next along y and z.
    """
    signature = types.float32(table, types.intp, types.intp, types.intp, *(types.float32,) * 3)

    def codegen(context, builder, signature, args):
        table, offset, row, plane, fx, fy, fz = args
        make = _Instructions(builder)
        source = _data(context, builder, signature.args[0], table)
        over = builder.add(offset, plane)
        y, z = make.splat(fy, 2), make.splat(fz, 2)
        near, far = (
            make.lerp(make.load(source, at, 2), make.load(source, builder.add(at, row), 2), y) for at in (offset, over)
        )
        both = make.lerp(near, far, z)
        return make.lerp(make.element(both, 0), make.element(both, 1), fx)

    return signature, codegen
