"""One level of a coarse-to-fine refinement: a band, an optimizer and a few passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.fourier_blocks import BlockSums, total_sums
from torchsag.likelihood.fourier_objective import FourierObjective
from torchsag.likelihood.observations import Observations
from torchsag.optim import LengthScaling, Optimizer, Preconditioned, minimize
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
    lengths
        What a turn of one radian moves by one voxel, for each of the table's maps: the optimizer then sees turns in
        voxels. None leaves it radians.
    """

    table: FourierTable
    band: FourierBand
    optimizer: Optimizer
    passes: float
    lengths: Float[Tensor, " maps"] | None = None

    @staticmethod
    def joined(levels: Sequence[Level]) -> Level:
        """One for the maps of several, that differ in nothing else."""
        lengths = [level.lengths for level in levels if level.lengths is not None]
        table = FourierTable.stacked([level.table for level in levels])
        return replace(levels[0], table=table, lengths=torch.cat(lengths) if lengths else None)

    def refine(self, observed: Observations, contenders: Contenders) -> Contenders:
        """Move every contender towards its optimum."""
        amplitude = contenders.particle_amplitude(len(observed))[contenders.particle]
        objective = FourierObjective(self.table, self.band, observed, contenders.poses, contenders.particle, amplitude)
        start = contenders.poses.shifts.new_zeros(len(amplitude), 6)
        minimum = minimize(self._scaled_optimizer(observed, contenders), objective, start, self.passes)
        return replace(contenders, poses=objective.at(minimum.move), converged=minimum.converged)

    def _scaled_optimizer(self, observed: Observations, contenders: Contenders) -> Optimizer:
        if self.lengths is None:
            return self.optimizer
        lengths = self.lengths if observed.maps is None else self.lengths[observed.maps[contenders.particle]]
        return Preconditioned(self.optimizer, LengthScaling(lengths))

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
