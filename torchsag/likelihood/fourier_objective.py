"""The least-squares distance in Fourier space as a finite sum over blocks of coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.geometry.rotations import left_jacobian
from torchsag.likelihood.fourier_blocks import BlockSums, block_sums
from torchsag.likelihood.observations import Observations
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


@dataclass(frozen=True)
class FourierObjective:
    """``J = sum_k |Y - a W m(pose)|^2 / 2`` around given poses: a `torchsag.optim.LeastSquaresObjective`.

    Each block's term is its part of that sum times the number of blocks, so that the mean of the terms is J.

    Attributes
    ----------
    table, band, observed
        Model, coefficients and data; see `torchsag.likelihood.fourier_blocks`.
    poses
        Where a move of zero stands.
    particle
        Which particle each pose is a candidate for.
    amplitude
        The model's scale a. A property of the particle, not of a candidate: estimated from the best candidate, it makes
        steps from poor ones the right length.
    """

    table: FourierTable
    band: FourierBand
    observed: Observations
    poses: Poses
    particle: Integer[Tensor, " poses"]
    amplitude: Float[Tensor, " poses"]

    @property
    def num_terms(self) -> int:
        """Number of blocks."""
        return self.band.num_blocks

    def at(self, move: Float[Tensor, "poses 6"]) -> Poses:
        """The poses that a move leads to."""
        return self.poses.retract(move)

    def sums(self, move: Float[Tensor, "poses 6"], terms: Integer[Tensor, " terms"]) -> BlockSums:
        """The raw sums at a move, with derivatives in the tangent there."""
        return block_sums(self.table, self.band, self.observed, self.at(move), self.particle, terms)

    def values(self, move: Float[Tensor, "poses 6"], terms: Integer[Tensor, " terms"]) -> Float[Tensor, "poses terms"]:
        """Each term's value."""
        return self._values(self.sums(move, terms), terms)

    def gradients(
        self, move: Float[Tensor, "poses 6"], terms: Integer[Tensor, " terms"]
    ) -> tuple[Float[Tensor, "poses terms"], Float[Tensor, "poses terms 6"]]:
        """Each term's value and gradient."""
        sums = self.sums(move, terms)
        return self._values(sums, terms), self._gradients(sums, _chart(move))

    def curvature(
        self, move: Float[Tensor, "poses 6"], terms: Integer[Tensor, " terms"]
    ) -> tuple[Float[Tensor, "poses terms"], Float[Tensor, "poses terms 6"], Float[Tensor, "poses terms 6 6"]]:
        """Each term's value, gradient and Gauss-Newton block."""
        sums = self.sums(move, terms)
        chart = _chart(move)
        factor = self.num_terms * self.amplitude.square()[:, None, None, None]
        blocks = factor * (chart.mT @ sums.gram @ chart)
        return self._values(sums, terms), self._gradients(sums, chart), blocks

    def _values(self, sums: BlockSums, terms: Tensor) -> Float[Tensor, "poses terms"]:
        power = self.observed.power[self.particle][:, terms]
        a = self.amplitude[:, None]
        return 0.5 * self.num_terms * (power - 2 * a * sums.cross + a.square() * sums.energy)

    def _gradients(self, sums: BlockSums, chart: Tensor) -> Float[Tensor, "poses terms 6"]:
        a = self.amplitude[:, None, None]
        slope = a.square() * sums.energy_gradient - a * sums.cross_gradient
        return self.num_terms * (slope[..., None, :] @ chart)[..., 0, :]


def _chart(move: Float[Tensor, "poses 6"]) -> Float[Tensor, "poses 1 6 6"]:
    """From the tangent at the moved poses, where the sums live, to the move itself."""
    chart = torch.eye(6, dtype=move.dtype, device=move.device).repeat(len(move), 1, 1)
    chart[:, :3, :3] = left_jacobian(move[:, :3])
    return chart[:, None]
