"""The constrained distance between unit vectors, from the sums over a Fourier band."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.likelihood.fourier_blocks import BlockSums


@dataclass(frozen=True)
class UnitDistance:
    """``d^2 = |y - u|^2 = 2 - 2 CCC`` of particle and placed reference, both of unit norm over what was measured.

    With ``y = Y / |Y|`` and ``u = W m / |W m|`` (see `torchsag.likelihood.fourier_blocks`); derivatives are those of
    ``d^2 / 2`` by the tangent move, the norm of the placed reference included.

    Attributes
    ----------
    correlation
        CCC.
    gradient
        ``-J^T (y - u)`` with J the derivative of u.
    gauss_newton
        ``J^T J``.
    """

    correlation: Float[Tensor, " poses"]
    gradient: Float[Tensor, "poses 6"]
    gauss_newton: Float[Tensor, "poses 6 6"]

    @staticmethod
    def of(sums: BlockSums, power: Float[Tensor, " poses"]) -> UnitDistance:
        """From the sums at each pose and the power ``|Y|^2`` of its particle."""
        total = sums.total()
        cross, energy = total.cross[:, 0], total.energy[:, 0].clamp_min(torch.finfo(power.dtype).tiny)
        norm = (energy * power.clamp_min(torch.finfo(power.dtype).tiny)).rsqrt()
        swell = total.energy_gradient[:, 0] / energy[:, None]
        gradient = -norm[:, None] * (total.cross_gradient[:, 0] - cross[:, None] * swell)
        gauss_newton = total.gram[:, 0] / energy[:, None, None] - swell[:, :, None] * swell[:, None, :]
        return UnitDistance(cross * norm, gradient, gauss_newton)

    @property
    def distance(self) -> Float[Tensor, " poses"]:
        """d."""
        return (2 - 2 * self.correlation).clamp_min(0).sqrt()

    def __getitem__(self, rows: Tensor) -> UnitDistance:
        return UnitDistance(self.correlation[rows], self.gradient[rows], self.gauss_newton[rows])
