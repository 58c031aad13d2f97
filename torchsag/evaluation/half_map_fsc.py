"""How far two half-maps agree: the Fourier shell correlation, with and without a mask, corrected for the mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import first_below, fourier_shell_correlation, to_half_spectrum
from torchsag.fourier.radial import Scrambling
from torchsag.fourier.shells import resolution_at
from torchsag.particles import DensityMap

# RELION randomises phases from the shell where the unmasked curve first falls below this.
_RANDOMISE_BELOW = 0.8
_RANDOMISATIONS = 5


@dataclass(frozen=True)
class HalfMapFSC:
    """Curves over Fourier shells 0 .. n // 2.

    Attributes
    ----------
    unmasked
        Of the half-maps as they are.
    masked
        After multiplication by the mask; equal to `unmasked` without a mask.
    randomised
        Masked, after phases were made random from `first_random_shell` outwards: what the mask alone contributes. The
        mean of five draws.
    corrected
        ``(masked - randomised) / (1 - randomised)`` two shells beyond `first_random_shell`, `masked` before; never
        above `masked`.
    first_random_shell
        Where the phases become random.
    box
        Box of the maps, voxels.
    voxel_size
        Angstrom per voxel.
    """

    unmasked: Float[Tensor, " shells"]
    masked: Float[Tensor, " shells"]
    randomised: Float[Tensor, " shells"]
    corrected: Float[Tensor, " shells"]
    first_random_shell: int
    box: tuple[int, int, int]
    voxel_size: float

    def resolution(self, threshold: float = 0.143, curve: str = "corrected") -> float:
        """Where a curve first falls below `threshold`, angstrom; infinity if it never rises above it."""
        return resolution_at(getattr(self, curve), self.box, self.voxel_size, threshold)

    def area(self, threshold: float = 0.143) -> float:
        """Area under the corrected curve up to where it first falls below `threshold`, in shells."""
        return float(self.corrected[1 : first_below(self.corrected, threshold)].sum())

    def shell_resolutions(self) -> Float[Tensor, " shells"]:
        """Resolution of each shell, angstrom; infinity for shell 0."""
        return max(self.box) * self.voxel_size / torch.arange(len(self.unmasked), dtype=torch.float32)


def compare_half_maps(
    first: DensityMap, second: DensityMap, mask: Float[Tensor, "z y x"] | None = None, seed: int = 0
) -> HalfMapFSC:
    """The curves of two maps that stand in the same frame.

    Parameters
    ----------
    first, second
        Half-maps.
    mask
        Soft mask, 0 to 1.
    seed
        Of the random phases.

    Raises
    ------
    InputError
        If boxes or voxel sizes differ.
    """
    _check(first, second, mask)
    box = first.box

    def correlation(a: Tensor, b: Tensor) -> Tensor:
        return fourier_shell_correlation(to_half_spectrum(a.double()), to_half_spectrum(b.double()), box).float()

    unmasked = correlation(first.density, second.density)
    start = min(first_below(unmasked, _RANDOMISE_BELOW), len(unmasked) - 1)
    if mask is None:
        return HalfMapFSC(unmasked, unmasked, torch.zeros_like(unmasked), unmasked, start, box, first.voxel_size)
    masked = correlation(first.density * mask, second.density * mask)
    generator = torch.Generator().manual_seed(seed)
    scramblings = [Scrambling.of(volume.density, start) for volume in (first, second)]

    def scrambled() -> Float[Tensor, " shells"]:
        a, b = (scrambling.draw(generator) * mask for scrambling in scramblings)
        return correlation(a, b)

    # On shells of few coefficients one draw is as noisy as the curve itself: a crossing moved from 38 to 45 angstrom.
    randomised = torch.stack([scrambled() for _ in range(_RANDOMISATIONS)]).mean(0)
    # What a mask adds is taken away; where random phases happen to disagree there is nothing to give.
    added = randomised.clamp(0, 1 - 1e-3)
    corrected = torch.minimum((masked - added) / (1 - added), masked)
    corrected = torch.where(torch.arange(len(masked), device=masked.device) < start + 2, masked, corrected)
    return HalfMapFSC(unmasked, masked, randomised, corrected, start, box, first.voxel_size)


def _check(first: DensityMap, second: DensityMap, mask: Tensor | None) -> None:
    if first.box != second.box or abs(first.voxel_size / second.voxel_size - 1) > 1e-3:
        raise InputError(
            f"half-maps: expected the same box and voxel size, got {first.box} at {first.voxel_size:g} angstrom and "
            f"{second.box} at {second.voxel_size:g}; resample one of them"
        )
    if mask is not None and tuple(mask.shape) != first.box:
        raise InputError(f"mask: expected the half-maps' box of {first.box} voxels, got {tuple(mask.shape)}")
