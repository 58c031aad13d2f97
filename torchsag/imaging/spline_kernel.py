"""The cubic spline's inner loops, compiled for the CPU; see `torchsag.imaging.spline_sampling` for the definition.

Each takes a contiguous table, points as indices ``(x, y, z)`` into it, and fills its last arguments. A point outside of
the table reads zero and adds nothing, one that is no number reads none.
"""

from inspect import unwrap

import numba
import numpy as np

from torchsag.spectra.bounds import beyond, within

# Signs of zero and infinities play no part here; rounding may be reordered.
# `unwrap`: a run-time type checker's wrapper would hide the functions from the compiler.
_compiled = numba.njit(cache=True, fastmath=True, nogil=True)


@_compiled
@unwrap
def _locate(position, size, weights, slopes):
    """First of the four samples that reach `position`, or -1 if one is outside; fills their weights and slopes."""
    if not within(position, 1, size - 2):
        return -1
    below = np.floor(position)
    first = int(below) - 1
    t = position - below
    s = 1 - t
    weights[0] = s * s * s / 6
    weights[1] = (4 + t * t * (3 * t - 6)) / 6
    weights[2] = (4 + s * s * (3 * s - 6)) / 6
    weights[3] = t * t * t / 6
    slopes[0] = -s * s / 2
    slopes[1] = t * (3 * t - 4) / 2
    slopes[2] = s * (4 - 3 * s) / 2
    slopes[3] = t * t / 2
    return first


@_compiled
@unwrap
def value_kernel(table, points, values):
    """Values of the series at `points`."""
    nz, ny, nx = table.shape
    wx, wy, wz = np.empty(4, table.dtype), np.empty(4, table.dtype), np.empty(4, table.dtype)
    unused = np.empty(4, table.dtype)
    for n in range(points.shape[0]):
        i = _locate(points[n, 0], nx, wx, unused)
        j = _locate(points[n, 1], ny, wy, unused)
        k = _locate(points[n, 2], nz, wz, unused)
        if i < 0 or j < 0 or k < 0:
            values[n] = beyond(points[n, 0], points[n, 1], points[n, 2])
            continue
        total = table.dtype.type(0)
        for c in range(4):
            for b in range(4):
                along = table.dtype.type(0)
                for a in range(4):
                    along += table[k + c, j + b, i + a] * wx[a]
                total += along * wy[b] * wz[c]
        values[n] = total


@_compiled
@unwrap
def value_gradient_kernel(table, points, values, gradients):
    """Values of the series at `points` and gradients ``(x, y, z)`` per table sample."""
    nz, ny, nx = table.shape
    wx, wy, wz = np.empty(4, table.dtype), np.empty(4, table.dtype), np.empty(4, table.dtype)
    sx, sy, sz = np.empty(4, table.dtype), np.empty(4, table.dtype), np.empty(4, table.dtype)
    zero = table.dtype.type(0)
    for n in range(points.shape[0]):
        i = _locate(points[n, 0], nx, wx, sx)
        j = _locate(points[n, 1], ny, wy, sy)
        k = _locate(points[n, 2], nz, wz, sz)
        value, gx, gy, gz = zero, zero, zero, zero
        if i < 0 or j < 0 or k < 0:
            values[n] = beyond(points[n, 0], points[n, 1], points[n, 2])
            gradients[n, :] = values[n]
            continue
        for c in range(4):
            plane, plane_x, plane_y = zero, zero, zero
            for b in range(4):
                along, slope = zero, zero
                for a in range(4):
                    sample = table[k + c, j + b, i + a]
                    along += sample * wx[a]
                    slope += sample * sx[a]
                plane += along * wy[b]
                plane_x += slope * wy[b]
                plane_y += along * sy[b]
            value += plane * wz[c]
            gx += plane_x * wz[c]
            gy += plane_y * wz[c]
            gz += plane * sz[c]
        values[n] = value
        gradients[n, 0], gradients[n, 1], gradients[n, 2] = gx, gy, gz


@_compiled
@unwrap
def scatter_kernel(points, upstream, table):
    """Add each point's `upstream` to the samples it was read from: the transpose of `value_kernel`."""
    nz, ny, nx = table.shape
    wx, wy, wz = np.empty(4, table.dtype), np.empty(4, table.dtype), np.empty(4, table.dtype)
    unused = np.empty(4, table.dtype)
    for n in range(points.shape[0]):
        i = _locate(points[n, 0], nx, wx, unused)
        j = _locate(points[n, 1], ny, wy, unused)
        k = _locate(points[n, 2], nz, wz, unused)
        if i < 0 or j < 0 or k < 0:
            continue
        for c in range(4):
            for b in range(4):
                factor = upstream[n] * wy[b] * wz[c]
                for a in range(4):
                    table[k + c, j + b, i + a] += factor * wx[a]
