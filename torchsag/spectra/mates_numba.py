"""`torchsag.spectra.mates.mate_sums_torch` as one CPU loop."""

from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.spectra.bounds import mark_within
from torchsag.spectra.gather_numba import WINDOW, cell_of, limits_of, trilinear, windowed
from torchsag.spectra.kaiser_bessel import WIDTH
from torchsag.spectra.tables import MARGIN
from torchsag.spectra.window_cells import fill_window


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
    factors, turns, places = (some.float().contiguous().numpy() for some in (weights.flatten(1), rotations, points))
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

    Map by map: one table and its weights fit the processor's caches, those of ten maps do not.
    """
    half, limits = n // 2 + MARGIN, limits_of(shape, n)
    inside, taps = np.empty(end - begin, np.bool_), np.empty(3 * WIDTH, np.float32)
    for number in range(turns.shape[0]):
        r = turns[number]
        mark_within(inside, r, points, begin, limits)
        for m in range(values.shape[0]):
            table, weight, top, bottom = values[m], factors[m], total[m], weight_total[m]
            for q in range(begin, end):
                if not inside[q - begin]:
                    bottom[q] = np.nan
                    top[q] = complex(np.nan, np.nan)
                    continue
                qx, qy, qz = points[q, 0], points[q, 1], points[q, 2]
                x = r[0, 0] * qx + r[0, 1] * qy + r[0, 2] * qz
                y = r[1, 0] * qx + r[1, 1] * qy + r[1, 2] * qz
                z = r[2, 0] * qx + r[2, 1] * qy + r[2, 2] * qz
                side = np.float32(1.0) if x >= 0 else np.float32(-1.0)
                first, fx, fy, fz = cell_of(shape, half, side * x, side * y, side * z)
                w = trilinear(weight, shape, first, fx, fy, fz)
                fill_window(window, fx, fy, fz, taps)  # pyright: ignore[reportCallIssue]  # numba's context
                re, im = windowed(table, shape, first, taps)
                bottom[q] += w
                top[q] += complex(w * re, side * w * im)
