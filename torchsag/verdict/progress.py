"""Checks of how a run went from iteration to iteration, and of how much there was to average."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchsag.evaluation.half_map_fsc import HalfMapFSC
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


@dataclass(frozen=True)
class FewParticles:
    """A curve that falls slowly: the particles carry little beyond its first half.

    Attributes
    ----------
    most_ratio
        Resolution at FSC 0.5 by that at 0.143.
    """

    most_ratio: float = 1.7
    code: str = "few_particles"

    def __call__(self, fsc: HalfMapFSC, particles: int) -> Finding | None:
        """Judge the final curve."""
        half, claimed = fsc.resolution(0.5), fsc.resolution()
        if not math.isfinite(claimed):
            return None
        ratio = half / claimed
        if ratio <= self.most_ratio:
            return None
        at_half = f"{half:.0f} angstrom" if math.isfinite(half) else "nowhere"
        text = (
            f"{particles} particles are few: FSC 0.143 is crossed at {claimed:.0f} angstrom, but FSC 0.5 at {at_half}; "
            "the value at 0.143 has a wide error, and details finer than that at 0.5 are not to be trusted"
        )
        evidence = {"resolution_0.143_angstrom": claimed, "resolution_0.5_angstrom": half, "particles": particles}
        return Finding(self.code, "doubt", text, evidence)
