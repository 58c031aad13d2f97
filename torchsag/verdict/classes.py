"""Check of the classes themselves: is there a map in each of them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class ClassWithoutResolution:
    """Classes whose half-maps agree nowhere: maps that are filtered by their agreement are empty."""

    code: str = "class_without_resolution"

    def __call__(self, resolutions: Sequence[float], sizes: Sequence[int]) -> Finding | None:
        """Judge resolutions in angstrom, none of which is finite for such a class."""
        without = [number for number, found in enumerate(resolutions, start=1) if not math.isfinite(found)]
        if not without:
            return None
        named = ", ".join(f"{number} ({sizes[number - 1]} particles)" for number in without)
        text = (
            f"{'class' if len(without) == 1 else 'classes'} {named} of {len(resolutions)} without a resolution: the "
            "half-maps agree nowhere, and the map is empty; junk, too few particles, or poses that are not theirs, as "
            "those of another structure: average these particles by themselves"
        )
        return Finding(self.code, "doubt", text, {"classes": without, "sizes": [sizes[n - 1] for n in without]})
