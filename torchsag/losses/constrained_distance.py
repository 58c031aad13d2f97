"""The constrained distance as a sum of squares: the paper's loss, and least squares' own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torchsag.losses.loss import Residuals, SumOfPenalties


@dataclass(frozen=True)
class ConstrainedDistance(SumOfPenalties):
    """Squared masked residual ``|M (f - a g - b)|^2``, with amplitude a and offset b among the unknowns of the fit.

    At the best a and b this is ``|f*|^2 (1 - CCC^2)``: the same optimal poses as the paper's ``d^2 = 2 - 2 CCC``. The
    paper divides f* and g* by their norms instead, but those of g* and its mean depend on the pose and need the whole
    volume, so that its slices are no finite sum. Freezing them would be worse than it looks: ``|f/|f| - g/|g_0||^2``
    asks a reference of unit norm to explain a particle that is mostly noise and pulls poses to where the filtered
    reference has little energy. With a and b as unknowns the slices add up exactly.
    """

    def penalty(self, residual: Residuals) -> tuple[Residuals, Residuals, Residuals]:
        """``r^2``, ``2 r`` and 2."""
        return residual.square(), 2 * residual, torch.full_like(residual, 2.0)
