"""Checks of orientations: directions that nothing was measured in, and classes that are orientations in disguise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.evaluation.wedge_dependence import WedgeDependence
from torchsag.geometry import Symmetry
from torchsag.particles import ParticleBatch
from torchsag.verdict.finding import Finding

_DIRECTIONS = 300


def measured_directions(
    particles: ParticleBatch, rotations: Float[Tensor, "particles 3 3"], symmetry: Symmetry
) -> Float[Tensor, " directions"]:
    """How much of each direction of the map's transform the particles measured, by the mean over all directions.

    Directions are spread evenly over the sphere, and looked at a quarter of the box from the origin.
    """
    box = particles.box
    index = torch.arange(_DIRECTIONS, dtype=torch.float64) + 0.5
    height, around = 1 - 2 * index / _DIRECTIONS, math.pi * (1 + math.sqrt(5)) * index
    level = (1 - height.square()).sqrt()
    directions = torch.stack([level * around.cos(), level * around.sin(), height], -1)
    mates = torch.einsum("gij,dj->dgi", symmetry.rotations.double(), directions)
    sums = torch.zeros(_DIRECTIONS, dtype=torch.float64)
    for rotation, weight in zip(rotations.double(), particles.weight_index.tolist(), strict=True):
        seen = torch.einsum("ij,dgj->dgi", rotation, mates) * (min(box) / 4)
        x, y, z = (seen * torch.where(seen[..., :1] < 0, -1.0, 1.0)).round().long().unbind(-1)
        sums += particles.weights[weight].double().square()[z % box[0], y % box[1], x].mean(-1)
    return (sums / sums.mean().clamp_min(1e-30)).float()


@dataclass(frozen=True)
class OrientationGap:
    """Directions in which the map was hardly measured.

    Attributes
    ----------
    least
        Part of the mean below which a direction counts as lacking.
    most_lacking
        Part of all directions that may lack.
    """

    least: float = 0.1
    most_lacking: float = 0.03
    code: str = "orientation_gap"

    def __call__(self, measured: Float[Tensor, " directions"]) -> Finding | None:
        """Judge what `measured_directions` gives."""
        lacking = float((measured < self.least).float().mean())
        if lacking <= self.most_lacking:
            return None
        text = (
            f"{100 * lacking:.0f} % of all directions were hardly measured by any particle: the map is smeared along "
            "them and the FSC does not show it; add views, or particles of other orientation"
        )
        return Finding(self.code, "doubt", text, {"lacking": lacking})


@dataclass(frozen=True)
class WedgeExplainsClass:
    """Classes that follow the direction of the missing wedge.

    Attributes
    ----------
    most_p
        Part of random labels that explain as much.
    least_excess
        Part of the variance of directions that classes must explain beyond chance.
    """

    most_p: float = 0.002
    least_excess: float = 0.05
    code: str = "wedge_explains_class"

    def __call__(self, wedge: WedgeDependence) -> Finding | None:
        """Judge a permutation test."""
        if wedge.p_value > self.most_p or wedge.explained - wedge.expected < self.least_excess:
            return None
        text = (
            f"classes follow the orientation of the missing wedge (they explain {100 * wedge.explained:.0f} % of it, "
            f"{100 * wedge.expected:.0f} % by chance): they may be views of one structure, or what truly prefers an "
            "orientation"
        )
        evidence = {"explained": wedge.explained, "expected": wedge.expected, "p_value": wedge.p_value}
        return Finding(self.code, "doubt", text, evidence)
