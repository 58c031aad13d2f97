"""Transforms of several particles, laid out to be read at rotated frequencies again and again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.recording import is_recorded
from torchsag.spectra.gather import gather_torch
from torchsag.spectra.gather_numba import gather_into_sums, gather_numba
from torchsag.spectra.mates import mate_sums
from torchsag.spectra.tables import MARGIN, padded_table
from torchsag.spectra.tables_numba import padded_table_numba


@dataclass(frozen=True)
class GatherTables:
    """See the module.

    Attributes
    ----------
    spectra, weights
        From `torchsag.spectra.tables.padded_table`: transforms of compensated volumes, and the distinct weights.
    weight_index
        Which of `weights` is each particle's.
    size
        Edge of the smallest box whose transform has the frequencies of the tables.
    scale
        That edge by the particles' own.
    """

    spectra: Complex[Tensor, "particles pz py px"]
    weights: Float[Tensor, "weights pz py px"]
    weight_index: Integer[Tensor, " particles"]
    size: int
    scale: float

    @staticmethod
    def of(
        spectra: Complex[Tensor, "particles z y kx"],
        weights: Float[Tensor, "weights z y kx"],
        weight_index: Integer[Tensor, " particles"],
        last_shell: int | None = None,
    ) -> GatherTables:
        """Lay out transforms of compensated volumes (`torchsag.spectra.kaiser_bessel.compensate`) in cubic boxes.

        Parameters
        ----------
        spectra, weights, weight_index
            Half-spectra.
        last_shell
            Largest frequency, Fourier voxels, that will be asked for; all by default.
        """
        n = spectra.shape[-2]
        whole = last_shell is None or last_shell + MARGIN > n // 2
        reach = n // 2 if whole or last_shell is None else last_shell
        size = n if whole else 2 * reach
        used, index = weight_index.unique(return_inverse=True)
        tables = _table(spectra, n, reach), _table(weights[used].float(), n, reach)
        return GatherTables(tables[0], tables[1], index, size, size / n)

    def __getitem__(self, rows: slice | Tensor) -> GatherTables:
        """Some of the particles."""
        return GatherTables(self.spectra[rows], self.weights, self.weight_index[rows], self.size, self.scale)

    def at(
        self, poses: Poses, points: Float[Tensor, "points 3"]
    ) -> tuple[Complex[Tensor, "particles points"], Float[Tensor, "particles points"]]:
        """Transform and weight of each particle, moved into the reference's frame, by the kernel of the device.

        Parameters
        ----------
        poses
            Where the reference sits in each particle.
        points
            Frequencies in the reference's frame, Fourier voxels, (x, y, z).
        """
        rotations, shifts = poses.rotations.float(), poses.shifts.float() * self.scale
        kernel = gather_numba if self.spectra.device.type == "cpu" else gather_torch
        return kernel(self.spectra, self.weights, self.weight_index, rotations, shifts, points, self.size)

    def add_to(
        self,
        numerator: Complex[Tensor, "groups points"],
        denominator: Float[Tensor, "groups points"],
        groups: Integer[Tensor, " particles"],
        strength: Float[Tensor, " particles"],
        poses: Poses,
        points: Float[Tensor, "points 3"],
    ) -> None:
        """Add each particle, moved as by `at`, to the sums of its group, in place.

        Its transform times weight and strength to the numerator, the strength times the squared weight to the
        denominator. All in double precision.
        """
        if self.spectra.device.type == "cpu":
            rotations, shifts = poses.rotations.float(), poses.shifts.float() * self.scale
            tables = self.spectra, self.weights, self.weight_index
            sums = numerator, denominator
            gather_into_sums(sums, groups, strength, *tables, rotations, shifts, points, self.size)
            return
        value, weight = self.at(poses, points)
        scaled = strength[:, None].double() * weight
        numerator.index_add_(0, groups, scaled * value.to(torch.complex128))
        denominator.index_add_(0, groups, scaled * weight)

    def over_mates(
        self, rotations: Float[Tensor, "mates 3 3"], points: Float[Tensor, "points 3"]
    ) -> tuple[Complex[Tensor, "particles points"], Float[Tensor, "particles points"]]:
        """Sums over rotations of weight times transform, and of weight (`torchsag.spectra.mates`)."""
        return mate_sums(self.spectra, self.weights[self.weight_index], rotations, points, self.size)


def _table(half: Tensor, n: int, reach: int) -> Tensor:
    plain = half.device.type == "cpu" and half.ndim == 4 and not is_recorded(half)
    return padded_table_numba(half, n, reach) if plain else padded_table(half, n, reach)
