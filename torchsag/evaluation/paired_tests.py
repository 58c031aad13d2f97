"""Does one method do better than another on the same particles?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from torchsag.errors import InputError


@dataclass(frozen=True)
class PairedTest:
    """Two methods compared particle by particle.

    Attributes
    ----------
    first, second
        The methods' names.
    particles
        How many particles both have a value for.
    mean_difference, median_difference
        Of first minus second.
    t_p, wilcoxon_p
        Two-sided p-values of the paired t-test and of the Wilcoxon signed-rank test (zero differences split, Pratt
        1959); one where no two values differ.
    t_p_holm, wilcoxon_p_holm
        The same after Holm's (1979) correction for the number of pairs tested together.
    cohen_d
        Effect size of the t-test: mean over standard deviation of the differences.
    rank_biserial
        Effect size of the Wilcoxon test, -1 to 1: share of the rank sum in favour of the first less that in favour of
        the second (Kerby 2014).
    """

    first: str
    second: str
    particles: int
    mean_difference: float
    median_difference: float
    t_p: float
    wilcoxon_p: float
    t_p_holm: float
    wilcoxon_p_holm: float
    cohen_d: float
    rank_biserial: float


def paired_tests(values: Mapping[str, np.ndarray]) -> list[PairedTest]:
    """Every pair of methods, in the order given; `values` has one entry per particle, NaN where there is none.

    Raises
    ------
    InputError
        If the methods have different numbers of particles, or a pair shares fewer than two.
    """
    tests = [_compare(a, b, values[a], values[b]) for a, b in itertools.combinations(values, 2)]
    t_p = holm(np.array([test.t_p for test in tests]))
    wilcoxon_p = holm(np.array([test.wilcoxon_p for test in tests]))
    return [
        replace(test, t_p_holm=float(t), wilcoxon_p_holm=float(w))
        for test, t, w in zip(tests, t_p, wilcoxon_p, strict=True)
    ]


def holm(p_values: np.ndarray) -> np.ndarray:
    """Step-down adjusted p-values: significant together at a level if at most that (Holm, Scand. J. Stat. 6:65)."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * (count - np.arange(count))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def _compare(first: str, second: str, one: np.ndarray, other: np.ndarray) -> PairedTest:
    if len(one) != len(other):
        raise InputError(
            f"paired tests: expected as many particles of {second} as of {first}, {len(one)}, got {len(other)}"
        )
    difference = np.asarray(one, float) - np.asarray(other, float)
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        raise InputError(f"paired tests: expected 2 or more particles with {first} and {second}, got {len(difference)}")
    spread = float(difference.std(ddof=1))
    alike = not difference.any()
    # Differences that are all the same are certain; scipy divides by their spread.
    # scipy's annotations do not know the results' fields.
    t_test: Any = None if spread == 0 else stats.ttest_1samp(difference, 0.0)
    signed_rank: Any = None if alike else stats.wilcoxon(difference, zero_method="pratt")
    t_p = float(alike) if t_test is None else float(t_test.pvalue)
    wilcoxon_p = 1.0 if signed_rank is None else float(signed_rank.pvalue)
    ranks = stats.rankdata(np.abs(difference))
    mean = float(difference.mean())
    cohen_d = mean / spread if spread > 0 else 0.0 if alike else float(np.copysign(np.inf, mean))
    return PairedTest(
        first, second, len(difference), mean, float(np.median(difference)), t_p, wilcoxon_p, t_p, wilcoxon_p, cohen_d,
        float((np.sign(difference) * ranks).sum() / ranks.sum()),
    )  # fmt: skip
