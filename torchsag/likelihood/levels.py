"""One level of a coarse-to-fine refinement: a band, an optimizer and a few passes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.fourier_blocks import BlockSums, total_sums
from torchsag.likelihood.fourier_objective import FourierObjective
from torchsag.likelihood.observations import Observations
from torchsag.optim import Optimizer, minimize
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


@dataclass(frozen=True)
class Level:
    """Refines candidates within a band.

    Attributes
    ----------
    table, band
        Model and coefficients.
    optimizer
        What minimises; it sees moves in radians and voxels.
    passes
        Passes over the band's coefficients.
    """

    table: FourierTable
    band: FourierBand
    optimizer: Optimizer
    passes: float

    def refine(self, observed: Observations, contenders: Contenders) -> Contenders:
        """Move every contender towards its optimum."""
        amplitude = contenders.particle_amplitude(len(observed))[contenders.particle]
        objective = FourierObjective(self.table, self.band, observed, contenders.poses, contenders.particle, amplitude)
        start = contenders.poses.shifts.new_zeros(len(amplitude), 6)
        minimum = minimize(self.optimizer, objective, start, self.passes)
        return replace(contenders, poses=objective.at(minimum.move), converged=minimum.converged)

    def judge(self, observed: Observations, contenders: Contenders) -> Contenders:
        """Scores and amplitudes over the whole band."""
        return self.measure(observed, contenders, 0)[0]

    def measure(self, observed: Observations, contenders: Contenders, order: int = 2) -> tuple[Contenders, BlockSums]:
        """As `judge`, with the sums that scores and amplitudes follow from, and their derivatives up to an order."""
        sums = self.sums(observed, contenders.poses, contenders.particle, order=order)
        return replace(contenders, score=sums.matched_filter[:, 0], amplitude=sums.amplitude[:, 0]), sums

    def sums(
        self,
        observed: Observations,
        poses: Poses,
        particle: Integer[Tensor, " poses"],
        terms: Integer[Tensor, " terms"] | None = None,
        order: int = 2,
    ) -> BlockSums:
        """The sums over the whole band or some of its blocks, as one term (`total_sums`)."""
        terms = torch.arange(self.band.num_blocks) if terms is None else terms
        return total_sums(self.table, self.band, observed, poses, particle, terms, order)
