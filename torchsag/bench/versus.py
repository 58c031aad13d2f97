"""Two sheets side by side, particle by particle."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from torchsag.bench.sheet import Sheet
from torchsag.errors import InputError
from torchsag.evaluation.confidence import median_interval
from torchsag.evaluation.paired_tests import holm, paired_tests


@dataclass(frozen=True)
class Paired:
    """One task.

    Attributes
    ----------
    task
        Its name.
    quantity
        What is compared.
    first, second
        Particles that only the first, or only the second, got right; or the two medians.
    difference
        First less second: of the shares, or the median of the particles' differences.
    low, high
        A 95 % interval for the difference where there is one.
    p
        McNemar's exact test, or Wilcoxon's signed ranks.
    p_holm
        After Holm's correction for all tests of the comparison.
    """

    task: str
    quantity: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float


def compare(first: Sheet, second: Sheet) -> list[Paired]:
    """Every task that both have.

    Raises
    ------
    InputError
        If there is none, or the two are of different data.
    """
    common = [name for name in first.tasks if name in second.tasks]
    if not common:
        raise InputError(f"sheets: expected a task that both have, got none in {first.name} and {second.name}")
    rows: list[Paired] = []
    for name in common:
        one, other = first.tasks[name], second.tasks[name]
        if one["recipe"] != other["recipe"]:
            raise InputError(f"sheets: expected {name} of the same data in both, got different recipes")
        count = min(one["particles"], other["particles"])  # a sheet may be of the first particles alone
        rows += _of_task(name, *({key: of["columns"][key][:count] for key in of["columns"]} for of in (one, other)))
    adjusted = holm(np.array([row.p for row in rows]))
    return [replace(row, p_holm=float(p)) for row, p in zip(rows, adjusted, strict=True)]


def _of_task(task: str, one: dict[str, list], other: dict[str, list]) -> list[Paired]:
    if "right_class" in one:
        return [_right(task, "in the right class", np.array(one["right_class"]), np.array(other["right_class"]))]
    turned = [np.array(columns["rotation_error_deg"], float) for columns in (one, other)]
    rows = [_right(task, "within 10 degrees", turned[0] < 10, turned[1] < 10)]
    both = np.isfinite(turned[0]) & np.isfinite(turned[1])
    if both.sum() >= 2:
        rows.append(_errors(task, turned[0][both], turned[1][both]))
    return rows


def _right(task: str, quantity: str, one: np.ndarray, other: np.ndarray) -> Paired:
    """Only particles on which the two differ say anything (McNemar 1947), by the binomial distribution.

    The interval is Wald's with the continuity of Agresti & Min (2005): half a particle more in each cell.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    count, apart = len(one), only_one + only_other
    p = 1.0 if apart == 0 else float(stats.binomtest(only_one, apart).pvalue)
    b, c, n = only_one + 0.5, only_other + 0.5, count + 2
    half = 1.96 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    middle = (b - c) / n
    difference = (only_one - only_other) / count
    return Paired(task, quantity, float(only_one), float(only_other), difference, middle - half, middle + half, p, p)


def _errors(task: str, one: np.ndarray, other: np.ndarray) -> Paired:
    difference = one - other
    between = median_interval(difference)
    (test,) = paired_tests({"first": one, "second": other})
    low, high = (None, None) if between is None else between
    medians = float(np.median(one)), float(np.median(other))
    middle = float(np.median(difference))
    return Paired(task, "rotation error (deg)", *medians, middle, low, high, test.wilcoxon_p, test.wilcoxon_p)
