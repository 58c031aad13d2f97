"""What a gather reads and where: padded tables of half-spectra, and the sphere of coefficients worth reading."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.fourier import half_frequencies
from torchsag.spectra.kaiser_bessel import WIDTH

# Samples kept around the half-spectrum so that no window leaves the table.
MARGIN = WIDTH // 2 + 1


@dataclass(frozen=True)
class Sphere:
    """The coefficients of a cubic half-spectrum up to a shell, in the order in which sums hold them.

    Attributes
    ----------
    flat
        Position of each in the flattened half-spectrum.
    index
        Coordinates (x, y, z) in Fourier voxels.
    """

    flat: Integer[Tensor, " points"]
    index: Float[Tensor, "points 3"]

    @staticmethod
    def up_to(n: int, last_shell: int, device: torch.device | str | None = None) -> Sphere:
        """All coefficients with a frequency of at most `last_shell` Fourier voxels."""
        index = half_frequencies((n, n, n), device=device, dtype=torch.float64).reshape(-1, 3) * n
        flat = (index.norm(dim=-1) <= last_shell + 1e-6).nonzero()[:, 0]
        return Sphere(flat, index[flat].float())


def padded_table(
    half: Float[Tensor, "*batch z y kx"] | Complex[Tensor, "*batch z y kx"], n: int, reach: int | None = None
) -> Tensor:
    """Half-spectrum in increasing order of frequency, with a margin on all sides.

    Entry ``[z, y, x]`` of the result is frequency ``(x - MARGIN, y - r - MARGIN, z - r - MARGIN)``, r the reach. The
    margin is filled by symmetry and, beyond the edge of the transform, by periodicity.

    Parameters
    ----------
    half
        Of a box of n voxels.
    n
        See `half`.
    reach
        Largest frequency along any axis that will be asked for; ``n // 2`` by default. A smaller table is a faster one.
    """
    reach = n // 2 if reach is None else reach
    device = half.device
    wide = torch.arange(-reach - MARGIN, reach + MARGIN + 1, device=device) % n
    rows = half.index_select(-3, wide).index_select(-2, wide)
    folded = torch.arange(-MARGIN, reach + MARGIN + 1, device=device) % n
    mirrored = folded > n // 2
    table = rows.index_select(-1, torch.where(mirrored, 0, folded))
    columns = mirrored.nonzero()[:, 0]
    opposite = half.index_select(-1, n - folded[columns])
    opposite = opposite.index_select(-3, -wide % n).index_select(-2, -wide % n)
    opposite = opposite.conj() if half.is_complex() else opposite
    table[..., columns] = opposite
    return table
