"""How half-maps are compared: under a mask that each of them is given by the same rule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.mask import Mask
from torchsag.evaluation.half_map_fsc import HalfMapFSC, compare_half_maps
from torchsag.particles import DensityMap


@dataclass(frozen=True)
class MaskedComparison:
    """Compares half-maps.

    Attributes
    ----------
    mask
        Makes the masks.
    coarsest_angstrom
        The resolution at which outlines are drawn.
    seed
        Of the random phases.
    """

    mask: Mask
    coarsest_angstrom: float
    seed: int = 0

    def mask_around(self, density: DensityMap) -> Float[Tensor, "z y x"]:
        """Where the particle is in a map."""
        return self.mask(density, self.coarsest_angstrom)

    def common_mask(self, first: DensityMap, second: DensityMap) -> Float[Tensor, "z y x"]:
        """The union of the masks of both maps."""
        return torch.maximum(self.mask_around(first), self.mask_around(second))

    def compare(self, first: DensityMap, second: DensityMap, mask: Float[Tensor, "z y x"] | None = None) -> HalfMapFSC:
        """FSC of half-maps under a mask; by default the union of their masks."""
        return compare_half_maps(first, second, self.common_mask(first, second) if mask is None else mask, self.seed)
