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


def padded_table(half: Float[Tensor, "*batch z y kx"] | Complex[Tensor, "*batch z y kx"], n: int) -> Tensor:
    """Half-spectrum in increasing order of frequency, with a margin on all sides filled by periodicity and symmetry.

    Entry ``[z, y, x]`` of the result is frequency ``(x - MARGIN, y - n // 2 - MARGIN, z - n // 2 - MARGIN)``.
    """
    device = half.device
    wide = torch.arange(-(n // 2) - MARGIN, n // 2 + MARGIN + 1, device=device) % n
    beyond = torch.tensor([*range(-MARGIN, 0), *range(n // 2 + 1, n // 2 + MARGIN + 1)], device=device)
    folded = beyond % n
    mirrored = folded > n // 2
    opposite = half[..., torch.where(mirrored, n - folded, folded)].flip(-3, -2).roll((1, 1), (-3, -2))
    opposite = opposite.conj() if half.is_complex() else opposite
    margin = torch.where(mirrored, opposite, half[..., torch.where(mirrored, 0, folded)])
    rows = torch.cat([margin[..., :MARGIN], half, margin[..., MARGIN:]], -1)
    return rows.index_select(-3, wide).index_select(-2, wide)
