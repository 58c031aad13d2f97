"""Check of the box: one that is very small holds too few details to tell poses apart."""

from __future__ import annotations

from dataclasses import dataclass

from torchsag.axes import Box
from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class SmallBox:
    """Boxes in which a pose may be wrong by far more than its expected error.

    Attributes
    ----------
    least
        Voxels along an edge. Of poses in boxes of 16 and 17 voxels one in twenty was off by more than five standard
        errors, rarely without its ambiguity
        saying so; of those in larger ones none of 600 (``experiments/campaigns/recovery.json``).
    """

    least: int = 18
    code: str = "small_box"

    def __call__(self, box: Box) -> Finding | None:
        """Judge a box of so many voxels."""
        if min(box) >= self.least:
            return None
        text = (
            f"boxes of {min(box)} voxels hold few details, which fit several poses nearly as well: look at `ambiguity` "
            "and take expected errors for too small; larger boxes, or voxels of half the size, tell more"
        )
        return Finding(self.code, "note", text, {"box": min(box), "least": self.least})
