"""`torchsag.spectra.mates.mate_sums_torch` as one CPU loop."""

import math
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.bounds import mark_within
from torchsag.spectra.gather_numba import WINDOW, limits_of, taps, trilinear, windowed
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
    total = torch.zeros(len(spectra), len(points), dtype=torch.complex128)
    weight_total = torch.zeros(len(spectra), len(points), dtype=torch.float64)
    values = torch.view_as_real(spectra.resolve_conj().to(torch.complex64).contiguous()).flatten(1).numpy()
    shape = spectra.shape[1], spectra.shape[2], spectra.shape[3]
    factors, turns, places = (some.float().contiguous().numpy() for some in (weights, rotations, points))
    workers = torch.get_num_threads()
    edges = np.linspace(0, len(points), workers + 1).astype(np.int64)

    def work(part: int) -> None:
        begin, end = edges[part], edges[part + 1]
        _add(total.numpy(), weight_total.numpy(), values, shape, factors, turns, places, begin, end, n, WINDOW)

    if workers == 1:
        work(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(workers)))
    return total, weight_total


# A run-time type checker's wrapper would stand between the compiler and the function, hence `unwrap`.
@numba.njit(fastmath=True, cache=True, nogil=True)
@unwrap
def _add(total, weight_total, values, shape, factors, turns, points, begin, end, n, window):
    """Add to ``[maps, begin:end]``; float32 but for the sums. A point outside of the tables makes its sums no number.

    Each place and its window are found once for all maps.
    """
    half, limits = n // 2 + MARGIN, limits_of(shape, n)
    inside = np.empty(end - begin, np.bool_)
    for number in range(turns.shape[0]):
        r = turns[number]
        mark_within(inside, r, points, begin, limits)
        for q in range(begin, end):
            if not inside[q - begin]:
                for m in range(values.shape[0]):
                    weight_total[m, q] = np.nan
                    total[m, q] = complex(np.nan, np.nan)
                continue
            qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
            x = r[0, 0] * qx + r[0, 1] * qy + r[0, 2] * qz
            y = r[1, 0] * qx + r[1, 1] * qy + r[1, 2] * qz
            z = r[2, 0] * qx + r[2, 1] * qy + r[2, 2] * qz
            sign = np.float32(1.0)
            if x < 0:
                x, y, z, sign = -x, -y, -z, -sign
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
            ix, iy, iz = ix + MARGIN, iy + half, iz + half
            wx, wy, wz = taps(window, fx), taps(window, fy), taps(window, fz)
            for m in range(values.shape[0]):
                w = trilinear(factors[m], ix, iy, iz, fx, fy, fz)
                re, im = windowed(values[m], shape, ix, iy, iz, wx, wy, wz)
                weight_total[m, q] += w
                total[m, q] += complex(w * re, sign * w * im)
