"""Read particles' transforms at rotated frequencies: the inner step of a reconstruction.

`gather_torch` is written for clarity and for any device; `torchsag.spectra.gather_numba` does the same on the CPU in
one pass over memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.spectra.kaiser_bessel import WIDTH, kaiser_bessel
from torchsag.spectra.tables import MARGIN


def gather_torch(
    spectra: Complex[Tensor, "particles pz py px"],
    weights: Float[Tensor, "weights pz py px"],
    weight_index: Integer[Tensor, " particles"],
    rotations: Float[Tensor, "particles 3 3"],
    shifts: Float[Tensor, "particles 3"],
    points: Float[Tensor, "points 3"],
    n: int,
) -> tuple[Complex[Tensor, "particles points"], Float[Tensor, "particles points"]]:
    """Transform and weight of each particle at ``R q``, moved back into the reference's frame.

    Parameters
    ----------
    spectra, weights
        Tables from `padded_table`: of transforms of compensated volumes, and of weights.
    weight_index
        Which of `weights` is each particle's.
    rotations, shifts
        Poses; shifts in voxels.
    points
        Frequencies ``q`` in Fourier voxels, (x, y, z).
    n
        Box, voxels.

    Returns
    -------
    tuple
        ``P(R q) exp(2 pi i (R q).t / n)`` by Kaiser-Bessel and ``W(R q)`` by trilinear interpolation; no numbers
        where ``R q`` lies outside of the tables or is none itself.
    """
    turned = torch.einsum("pij,gj->pgi", rotations, points)
    phase = 2 * math.pi / n * torch.einsum("pgi,pi->pg", turned, shifts)
    back = turned[..., 0] < 0
    positive = torch.where(back[..., None], -turned, turned)
    inside = _inside(positive, spectra.shape, n)
    positive = torch.where(inside[..., None], positive, torch.zeros_like(positive))
    floor = positive.floor()
    fraction = positive - floor
    offset = torch.tensor([MARGIN, n // 2 + MARGIN, n // 2 + MARGIN], device=points.device)
    start = floor.long() + offset
    value = _interpolate(spectra, start, fraction, kaiser_bessel, range(1 - WIDTH // 2, 1 + WIDTH // 2))
    weight = _interpolate(weights[weight_index], start, fraction, lambda d: (1 - d.abs()).clamp_min(0), range(2))
    value = torch.where(back, value.conj(), value) * torch.polar(torch.ones_like(phase), phase)
    nothing = torch.full_like(weight, torch.nan)
    return torch.where(inside, value, torch.complex(nothing, nothing)), torch.where(inside, weight, nothing)


def _inside(positive: Tensor, shape: torch.Size, n: int) -> Tensor:
    """Whether the window around each point, ``x >= 0``, lies in the table; false for what is no number."""
    depth, height, width = shape[-3:]
    half = n // 2 + MARGIN
    low = torch.tensor([1 - MARGIN, 1 - half, 1 - half], device=positive.device)
    high = torch.tensor([width - 2 - MARGIN, height - 2 - half, depth - 2 - half], device=positive.device)
    return ((positive >= low) & (positive < high)).all(-1)


def _interpolate(
    table: Tensor, start: Tensor, fraction: Tensor, window: Callable[[Tensor], Tensor], taps: range
) -> Tensor:
    """Sum of the samples around each point under a separable window; the loop is over rows of samples, not points."""
    flat = table.flatten(-3)
    _, height, width = table.shape[-3:]
    offsets = torch.tensor(list(taps), device=table.device)
    factor = window(fraction[..., None] - offsets)
    total = torch.zeros(start.shape[:-1], dtype=table.dtype, device=table.device)
    for i, z in enumerate(taps):
        for j, y in enumerate(taps):
            row = ((start[..., 2] + z) * height + start[..., 1] + y) * width + start[..., 0]
            samples = flat.gather(-1, (row[..., None] + offsets).flatten(-2)).unflatten(-1, (-1, len(offsets)))
            across = factor[..., 2, i] * factor[..., 1, j]
            total = total + across * (samples * factor[..., 0, :]).sum(-1)
    return total
