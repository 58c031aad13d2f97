"""The Euler grid on which a correlation over rotations is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry.rotations import axis_rotation


@dataclass(frozen=True)
class EulerGrid:
    """Rotations ``R = Rz(alpha) Ry(beta) Rz(gamma)`` fine enough for functions up to a degree.

    Attributes
    ----------
    degree
        Band limit l of the functions correlated.
    fold
        Rotations about z that leave the reference unchanged: gamma need only cover ``2 pi / fold``.
    """

    degree: int
    fold: int = 1

    @property
    def alpha(self) -> Float[Tensor, " alpha"]:
        """Full turn, ``2 l + 2`` steps."""
        count = 2 * self.degree + 2
        return torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)

    @property
    def beta(self) -> Float[Tensor, " beta"]:
        """Between the poles, ``l + 1`` steps of the same size as alpha's."""
        count = self.degree + 1
        return (torch.arange(count, dtype=torch.float64) + 0.5) * (math.pi / count)

    @property
    def gamma(self) -> Float[Tensor, " gamma"]:
        """One asymmetric part of a turn, in steps no larger than alpha's."""
        count = math.ceil((2 * self.degree + 2) / self.fold)
        return torch.arange(count, dtype=torch.float64) * (2 * math.pi / (self.fold * count))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of (alpha, gamma, beta), the order in which correlations are laid out."""
        return len(self.alpha), len(self.gamma), len(self.beta)

    def rotations(self) -> Float[Tensor, "alpha gamma beta 3 3"]:
        """Every rotation of the grid, float64."""
        alpha, gamma, beta = torch.meshgrid(self.alpha, self.gamma, self.beta, indexing="ij")
        return axis_rotation("z", alpha) @ axis_rotation("y", beta) @ axis_rotation("z", gamma)
