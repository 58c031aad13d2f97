"""What every compiled loop asks before it turns a number into a place in memory.

The loops are compiled with ``fastmath``, which lets the compiler assume that nothing is infinite or not a number; a
comparison made under that assumption may be optimised away. These questions are compiled without it, and keep their
meaning when they are inlined into such a loop. All are false for NaN and infinities.
"""

from __future__ import annotations

from inspect import unwrap

import numba
import numpy as np

# `unwrap`: a run-time type checker's wrapper would hide the functions from the compiler.
_strict = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy", inline="never")


@_strict
@unwrap
def within(value, low, high):
    """Whether ``low <= value < high``."""
    return (value >= low) & (value < high)


@_strict
@unwrap
def within_box(x, y, z, low_x, high_x, low_yz, high_yz):
    """Whether ``low_x <= x < high_x`` and the same for y and z with the other two limits."""
    return (x >= low_x) & (x < high_x) & (y >= low_yz) & (y < high_yz) & (z >= low_yz) & (z < high_yz)


@_strict
@unwrap
def mark_within(inside, rotation, points, begin, limits):
    """Whether each point that a matrix turns lies in a half of a box, for ``points[begin : begin + len(inside)]``.

    A point with x < 0 is replaced by its opposite. Asked of all points together: a call between the reading of one
    point and of the next costs more than the reading (measured).
    """
    low_x, high_x, low, high = limits
    for i in range(len(inside)):
        qx, qy, qz = points[begin + i, 0], points[begin + i, 1], points[begin + i, 2]
        x = rotation[0, 0] * qx + rotation[0, 1] * qy + rotation[0, 2] * qz
        y = rotation[1, 0] * qx + rotation[1, 1] * qy + rotation[1, 2] * qz
        z = rotation[2, 0] * qx + rotation[2, 1] * qy + rotation[2, 2] * qz
        sign = np.float32(-1.0) if x < 0 else np.float32(1.0)
        x, y, z = sign * x, sign * y, sign * z
        inside[i] = (x >= low_x) & (x < high_x) & (y >= low) & (y < high) & (z >= low) & (z < high)


@_strict
@unwrap
def usable_pose(rotation, shift, stretch):
    """Whether every column of a matrix is at most `stretch` long, so that ``R^T k`` stays near k, and t is finite."""
    for j in range(3):
        length = rotation[0, j] ** 2 + rotation[1, j] ** 2 + rotation[2, j] ** 2
        if not length <= stretch * stretch:
            return False
        if not abs(shift[j]) < np.float32(1e30):
            return False
    return True


@_strict
@unwrap
def beyond(x, y, z):
    """What is read outside of a table that ends: zero, and no number where the point is none."""
    return np.nan if (x != x) | (y != y) | (z != z) else 0.0
