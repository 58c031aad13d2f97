"""How half-maps are compared: under a mask that each of them is given by the same rule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.outline import Outline
from torchsag.evaluation.half_map_fsc import HalfMapFSC, compare_half_maps
from torchsag.particles import DensityMap


@dataclass(frozen=True)
class MaskedComparison:
    """Compares half-maps.

    Attributes
    ----------
    outline
        Makes the masks.
    coarsest_angstrom
        The resolution at which outlines are drawn.
    seed
        Of the random phases.
    """

    outline: Outline
    coarsest_angstrom: float
    seed: int = 0

    def mask(self, density: DensityMap) -> Float[Tensor, "z y x"]:
        """Where the particle is in a map."""
        return self.outline(density, self.coarsest_angstrom)

    def compare(self, first: DensityMap, second: DensityMap) -> HalfMapFSC:
        """FSC of half-maps under the union of their masks."""
        return compare_half_maps(first, second, torch.maximum(self.mask(first), self.mask(second)), self.seed)
