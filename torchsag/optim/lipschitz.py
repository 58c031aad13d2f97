"""The step size of stochastic gradient methods: ``1 / L``, with L found by a line search on the terms just visited.

A function whose gradient is Lipschitz continuous with constant L satisfies
``h(x - g / L) <= h(x) - |g|^2 / (2 L)``; where this fails, L was too small (Le Roux, Schmidt & Bach 2012, section 4.6).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

PerProblem = Float[Tensor, " problems"]

GRADIENT_FLOOR = 1e-8
"""Squared gradient norm below which L is left alone: the decrease would drown in rounding (Le Roux et al. 2012)."""

_MAX_TRIALS = 60  # Factors of two; enough to cross the whole range of float32 from any sensible start.


def raise_lipschitz(
    value_at: Callable[[PerProblem], PerProblem],
    value: PerProblem,
    squared_gradient: PerProblem,
    lipschitz: PerProblem,
) -> tuple[PerProblem, PerProblem]:
    """Double each problem's L until a gradient step of length ``1 / L`` decreases its value enough.

    Parameters
    ----------
    value_at
        The value after the step ``-g / L``, given each problem's L.
    value, squared_gradient
        ``h(x)`` and ``|g|^2`` where the step starts.
    lipschitz
        The estimate so far, positive.

    Returns
    -------
    The raised estimate, and how many values each problem needed; `value_at` is called as often as the neediest asks.
    """
    searched, trials = _searched(value, squared_gradient), torch.zeros_like(lipschitz)
    for _ in range(_MAX_TRIALS):
        if not searched.any():
            break
        trials = trials + searched
        searched = searched & ~_decreases_enough(value_at(lipschitz), value, squared_gradient, lipschitz)
        lipschitz = torch.where(searched, 2 * lipschitz, lipschitz)
    return lipschitz, trials


def initial_lipschitz(
    value_at: Callable[[PerProblem], PerProblem],
    value: PerProblem,
    squared_gradient: PerProblem,
    guess: PerProblem,
) -> tuple[PerProblem, PerProblem]:
    """Find L within a factor of two from any positive guess: double while too small, then halve while large enough.

    The papers start from a given L, which only ever halves once a pass: a guess a thousand times too large would cost
    ten passes. Parameters and returns are those of `raise_lipschitz`.
    """
    lipschitz, trials = raise_lipschitz(value_at, value, squared_gradient, guess)
    halving = _searched(value, squared_gradient)
    for _ in range(_MAX_TRIALS):
        if not halving.any():
            break
        trials = trials + halving
        half = torch.where(halving, lipschitz / 2, lipschitz)
        halving = halving & _decreases_enough(value_at(half), value, squared_gradient, half)
        lipschitz = torch.where(halving, half, lipschitz)
    return lipschitz, trials


def relax_lipschitz(lipschitz: PerProblem, batch: int, num_terms: int) -> PerProblem:
    """Shrink L by ``2^(-b / n)`` after a step on b of n terms: it halves once a pass (Lü et al. 2019, Algorithm 1)."""
    return lipschitz * 2.0 ** (-batch / num_terms)


def _searched(value: PerProblem, squared_gradient: PerProblem):
    return (squared_gradient > GRADIENT_FLOOR) & value.isfinite()


def _decreases_enough(trial: PerProblem, value: PerProblem, squared_gradient: PerProblem, lipschitz: PerProblem):
    # A decrease below rounding proves nothing: without the allowance L would grow without bound near an optimum.
    rounding = 8 * torch.finfo(value.dtype).eps * value.abs()
    return trial <= value - squared_gradient / (2 * lipschitz) + rounding
