"""Sine and cosine for the compiled loops."""

from __future__ import annotations

import math
from inspect import unwrap

import numba
import numpy as np


# `unwrap`: a run-time type checker's wrapper would hide the function from the compiler.
@numba.njit(fastmath=True, cache=True, nogil=True, error_model="numpy", inline="always")
@unwrap
def unit_circle(turns):
    """Cosine and sine of ``2 pi turns``: a calculation that vectorises, to single precision."""
    f32 = np.float32
    half = f32(math.pi) * (turns - np.floor(turns + f32(0.5)))
    square = half * half
    cos, sin = f32(1 / 479001600), f32(-1 / 39916800)  # Taylor's series to the twelfth and eleventh power
    cos, sin = cos * square + f32(-1 / 3628800), sin * square + f32(1 / 362880)
    cos, sin = cos * square + f32(1 / 40320), sin * square + f32(-1 / 5040)
    cos, sin = cos * square + f32(-1 / 720), sin * square + f32(1 / 120)
    cos, sin = cos * square + f32(1 / 24), sin * square + f32(-1 / 6)
    cos, sin = cos * square + f32(-1 / 2), (sin * square + f32(1)) * half
    cos = cos * square + f32(1)
    return cos * cos - sin * sin, f32(2) * sin * cos
