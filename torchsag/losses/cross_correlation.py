"""The constrained correlation itself: a loss of whole volumes."""

from __future__ import annotations

from dataclasses import dataclass

from torchsag.losses.constrained import constrained_correlation
from torchsag.losses.loss import Masks, Parts, PerPart


@dataclass(frozen=True)
class CrossCorrelation:
    """``d^2 / 2 = 1 - CCC``, normalised by both volumes' means and norms, hence not a sum over slices."""

    @property
    def additive(self) -> bool:
        """Means and norms are those of the whole volume."""
        return False

    def loss(self, observed: Parts, model: Parts, mask: Masks) -> PerPart:
        """One minus the correlation under the mask."""
        return 1 - constrained_correlation(*(part.flatten(-3) for part in (observed, model, mask)))
