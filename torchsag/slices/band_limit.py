"""Work on the coarsest grid that holds the resolution in use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.axes import Box
from torchsag.errors import InputError
from torchsag.fourier import crop_spectrum, from_half_spectrum, half_frequencies


@dataclass(frozen=True)
class BandLimit:
    """A sphere of frequencies and a box just large enough for it.

    Attributes
    ----------
    full
        The box (z, y, x) of the particles.
    box
        The coarser box, of the same extent.
    cutoff
        Radius of the sphere in cycles per voxel of the full box.
    """

    full: Box
    box: Box
    cutoff: float

    @staticmethod
    def of(full: Box, voxel_size: float, resolution_angstrom: float | None) -> BandLimit:
        """The band down to `resolution_angstrom`; None, or more than the voxel size allows, takes all there is.

        Both boxes must have the same proportions, so a box with sides that share no factor is not made coarser.

        Raises
        ------
        InputError
            If the resolution is so low that fewer than two Fourier shells remain.
        """
        nyquist = 0.5 * (1 - 1e-6)
        cutoff = nyquist if resolution_angstrom is None else min(voxel_size / resolution_angstrom, nyquist)
        if cutoff * max(full) < 2:
            raise InputError(
                f"resolution: {resolution_angstrom} angstrom leaves fewer than 2 Fourier shells of a box of "
                f"{max(full)} voxels of {voxel_size} angstrom; give at most {max(full) * voxel_size / 2:g}"
            )
        return BandLimit(full, _coarser(full, cutoff), cutoff)

    @property
    def scale(self) -> float:
        """Coarse voxels per full voxel, at most one."""
        return self.box[0] / self.full[0]

    def weight(self, device: torch.device | str | None = None) -> Float[Tensor, "z y kx"]:
        """One inside the sphere, zero outside, on the coarse box."""
        radius = half_frequencies(self.box, device).norm(dim=-1) * self.scale
        return (radius <= self.cutoff).float()

    def limit_spectra(self, spectra: Complex[Tensor, "*batch z y kx"]) -> Complex[Tensor, "*batch cz cy ckx"]:
        """Transforms on the coarse box of the same volumes, voxel values preserved."""
        scale = math.prod(self.box) / math.prod(self.full)
        return crop_spectrum(spectra, self.full, self.box) * (scale * self.weight(spectra.device))

    def limit_weights(self, weights: Float[Tensor, "*batch z y kx"]) -> Float[Tensor, "*batch cz cy ckx"]:
        """Weights on the coarse box, zero outside the sphere."""
        cropped = crop_spectrum(weights.to(torch.complex64), self.full, self.box).real
        return cropped * self.weight(weights.device)

    def volumes(self, spectra: Complex[Tensor, "*batch z y kx"]) -> Float[Tensor, "*batch z y x"]:
        """Back to real space on the coarse box."""
        return from_half_spectrum(spectra, self.box)


def _coarser(full: Box, cutoff: float) -> Box:
    unit = math.gcd(*full)
    for multiple in range(1, unit):
        box = (full[0] // unit * multiple, full[1] // unit * multiple, full[2] // unit * multiple)
        # A coefficient at exactly half the new sampling rate would be lost in the crop.
        holds = all(int(cutoff * old) <= (new - 1) // 2 for old, new in zip(full, box, strict=True))
        if holds and all(_fast(n) for n in box):
            return box
    return full


def _fast(size: int) -> bool:
    """Whether a Fourier transform of this length is fast: factors 2, 3 and 5 only."""
    for factor in (2, 3, 5):
        while size % factor == 0:
            size //= factor
    return size == 1
