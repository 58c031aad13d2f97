"""Intervals that hold a median or a mean with a stated confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def median_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float] | None:
    """An interval for the median, whatever the distribution.

    Two of the ordered values, equally far from both ends, between which the median lies with at least this probability,
    since the number of values below it is binomial (Conover, Practical Nonparametric Statistics, 1999, section 3.2).

    Returns
    -------
    None where even the smallest and the largest value do not reach the confidence: fewer than 6 values at 0.95. Values
    that are not finite are left out.
    """
    ordered = np.sort(_finite(values))
    count = len(ordered)
    # The largest rank k for which P(fewer than k values lie below the median) is at most half of what may be missed.
    rank = int(stats.binom.ppf((1 - confidence) / 2, count, 0.5)) if count else 0
    if rank and stats.binom.cdf(rank - 1, count, 0.5) > (1 - confidence) / 2:
        rank -= 1
    return (float(ordered[rank - 1]), float(ordered[count - rank])) if rank >= 1 else None


def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float] | None:
    """Student's interval for the mean of independent values; None for fewer than 2 finite ones."""
    finite = _finite(values)
    if len(finite) < 2:
        return None
    half = (
        float(stats.t.ppf((1 + confidence) / 2, len(finite) - 1)) * float(finite.std(ddof=1)) / math.sqrt(len(finite))
    )
    mean = float(finite.mean())
    return mean - half, mean + half


def share_interval(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Wilson's interval (1927) for the probability behind `successes` out of `count`; None for none."""
    if count < 1:
        return None
    interval = stats.binomtest(successes, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def exact_share_interval(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """The same after Clopper and Pearson (Biometrika 26:404, 1934), which never claims too much; None for none.

    For shares near 0 or 1, where Wilson's interval holds its confidence on average over the shares only.
    """
    if count < 1:
        return None
    interval = stats.binomtest(successes, count).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    found = np.asarray([math.nan if value is None else value for value in values], float)
    return found[np.isfinite(found)]
