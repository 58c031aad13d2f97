"""`torchsag.classification.evidence.reference_leave_one_out` as one CPU loop over particles."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from itertools import pairwise

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.classification.evidence import ClassSums, Prior, Views, reference_leave_one_out


def leave_one_out(
    views: Views, membership: Float[Tensor, "particles candidates classes"], sums: ClassSums, prior: Prior
) -> Float[Tensor, "particles candidates classes"]:
    """Evidence that each view adds to each class without the particle, by the kernel of the views' device."""
    if views.data.device.type != "cpu":
        return reference_leave_one_out(views, membership, sums, prior)
    out = np.zeros(membership.shape, np.float32)
    shared = (sums.numerator.to(torch.complex64), sums.denominator.float(), prior.precision.float())
    own = (views.data, views.weights, membership.float())
    _check_sizes(views, membership, sums, prior)
    arrays = [tensor.contiguous().numpy() for tensor in (*own, *shared)]

    def run(part: slice) -> None:
        _accumulate(*(array[part] for array in arrays[:3]), *arrays[3:], np.float32(prior.independent), out[part])

    threads = max(1, min(torch.get_num_threads(), len(views)))
    bounds = np.linspace(0, len(views), threads + 1).round().astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, [slice(a, b) for a, b in pairwise(bounds)]))
    return torch.from_numpy(out / prior.order)


def _check_sizes(views: Views, membership: Tensor, sums: ClassSums, prior: Prior) -> None:
    """The compiled loop trusts that these arrays go together; it takes no number of any of them for a place."""
    particles, candidates, classes = membership.shape
    count = len(prior.precision)
    wrong = [tuple(t.shape) for t in (views.data, views.weights) if tuple(t.shape) != (particles, candidates, count)]
    wrong += [tuple(t.shape) for t in (sums.numerator, sums.denominator) if tuple(t.shape) != (classes, count)]
    if wrong:
        raise ValueError(
            f"evidence: expected views {(particles, candidates, count)} and sums {(classes, count)}, got {wrong[0]}"
        )


@numba.njit(fastmath=True, cache=True, nogil=True, error_model="numpy")
@unwrap  # a run-time type checker's wrapper would stand between the compiler and the function
def _accumulate(data, weights, membership, numerator, denominator, precision, independent, out):
    particles, candidates, classes = membership.shape
    count = len(precision)
    left, total = np.empty(count, np.complex64), np.empty(count, np.float32)
    for p in range(particles):
        for k in range(classes):
            left[:] = numerator[k]
            total[:] = denominator[k]
            for j in range(candidates):
                part = membership[p, j, k]
                if part > 0:
                    for q in range(count):
                        left[q] -= part * data[p, j, q]
                        total[q] -= part * weights[p, j, q]
            for q in range(count):
                total[q] = max(total[q], np.float32(0)) + precision[q]
            for j in range(candidates):
                gain, volume, product = 0.0, 0.0, np.float32(1)
                for q in range(count):
                    d = weights[p, j, q]
                    if d > 0:
                        a, b = left[q], data[p, j, q]
                        cross = a.real * b.real + a.imag * b.imag
                        square = b.real * b.real + b.imag * b.imag
                        energy = d * (a.real * a.real + a.imag * a.imag) / total[q]
                        gain += (cross + np.float32(0.5) * (square - energy)) / (total[q] + d)
                        # One logarithm for many factors.
                        product *= np.float32(1) + d / total[q]
                        if product > np.float32(1e18):
                            volume += math.log(product)
                            product = np.float32(1)
                out[p, j, k] = gain - independent * (volume + math.log(product))
