"""Checks of how a run went from iteration to iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchsag.verdict.finding import Finding

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class GotWorse:
    """The last iteration is worse than an earlier one.

    Attributes
    ----------
    least_loss
        Part of the area under the FSC that must be lost; curves vary by less from one iteration to the next.
    """

    least_loss: float = 0.1
    code: str = "got_worse"

    def __call__(self, rows: Rows, best_iteration: int) -> Finding | None:
        """Judge a table of iterations of which `best_iteration` is kept."""
        area = {row["iteration"]: float(row["fsc_area_shells"]) for row in rows}
        last = max(area)
        lost = 1 - area[last] / area[best_iteration] if area[best_iteration] > 0 else 0.0
        if lost <= self.least_loss:
            return None
        text = (
            f"iteration {best_iteration} of {last} is kept: the area under the FSC fell from "
            f"{area[best_iteration]:.1f} shells there to {area[last]:.1f} in the last; the particles do not carry "
            "their own average on, as when there are too few of them"
        )
        evidence = {"best_iteration": best_iteration, "last_iteration": last, "lost": lost}
        return Finding(self.code, "doubt", text, evidence)


@dataclass(frozen=True)
class NotConverged:
    """The run stopped because it was out of iterations while the map was still getting better.

    Attributes
    ----------
    least_gain
        Part by which the last iteration's area under the FSC is above the one before.
    """

    least_gain: float = 0.05
    code: str = "not_converged"

    def __call__(self, rows: Rows, iterations: int) -> Finding | None:
        """Judge a table of iterations of a run that was allowed `iterations`."""
        if len(rows) < iterations or len(rows) < 2:
            return None
        before, last = (float(row["fsc_area_shells"]) for row in rows[-2:])
        if last - before <= self.least_gain * max(before, 1e-9):
            return None
        text = f"the map was still getting better in the last of {iterations} iterations; allow more (iterations=)"
        return Finding(self.code, "note", text, {"area_shells": last, "area_shells_before": before})
