"""Slices along x, with an unfiltered reference: the paper's affordable form."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from torchsag.scoring.partition import Box
from torchsag.scoring.plane_split import PlaneSplit


@dataclass(frozen=True)
class XSlices:
    """Planes of constant x, as in Lü et al. 2019: the particle is filtered once, the reference not at all.

    A wedge filter is global in x, so one slice of a filtered reference would cost the whole volume. Left unfiltered,
    the reference has detail where the particle has none, and the energy of that detail changes with the pose: at +-60
    and SNR 0.01 rotations were a third less accurate (measured). Kept as the paper's method; `TiltAxisSlices` costs the
    same and is exact.
    """

    def split(self, weights: Float[Tensor, "weights z y kx"], band: Float[Tensor, "z y kx"], box: Box) -> PlaneSplit:
        """Divide a box into its x planes."""
        support = (weights > 0).to(weights.dtype)
        return PlaneSplit("x", box, support, band.expand_as(support), None)
