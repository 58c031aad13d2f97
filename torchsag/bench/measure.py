"""A number with its interval, and what it is better for it to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from torchsag.evaluation.confidence import mean_interval, median_interval, share_interval


@dataclass(frozen=True)
class Measure:
    """One line of a sheet.

    Attributes
    ----------
    value
        None where it cannot be said.
    low, high
        Ends of a 95 % interval; None where there is none.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    def record(self) -> dict[str, Any]:
        """For a json file."""
        return {"value": self.value, "low": self.low, "high": self.high}


UNKNOWN = Measure(None)


def share(hits: int, count: int) -> Measure:
    """A part of `count`, with Wilson's interval."""
    return _with(share_interval(hits, count), hits / count) if count else UNKNOWN


def median(values: Float[np.ndarray, " values"]) -> Measure:
    """The median, with an interval by ranks."""
    return _with(median_interval(values), float(np.median(values))) if len(values) else UNKNOWN


def root_mean_square(values: Float[np.ndarray, " values"], unit: float = 1.0) -> Measure:
    """In units of `unit`, with Student's interval of the mean square."""
    if not len(values):
        return UNKNOWN
    squares = np.square(values / unit)
    between = mean_interval(squares)
    ends = None if between is None else (math.sqrt(max(between[0], 0.0)), math.sqrt(between[1]))
    return _with(ends, math.sqrt(float(squares.mean())))


def mean(values: Float[np.ndarray, " values"]) -> Measure:
    """The mean, with Student's interval."""
    return _with(mean_interval(values), float(values.mean())) if len(values) else UNKNOWN


def resampled(statistic: Callable[[np.ndarray], float], count: int, draws: int = 500) -> Measure:
    """A function of the rows 0 .. count - 1, with the percentile interval of a bootstrap over them (Efron 1979)."""
    generator = np.random.Generator(np.random.Philox(0))
    drawn = [statistic(generator.integers(count, size=count)) for _ in range(draws)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Measure(statistic(np.arange(count)), float(low), float(high))


def _with(interval: tuple[float, float] | None, value: float) -> Measure:
    return Measure(value) if interval is None else Measure(value, *interval)
