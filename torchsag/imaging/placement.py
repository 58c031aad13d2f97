"""Place a map at poses, accurately: for making data, where the error must stay far below the noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Integer
from torch import Tensor

from torchsag.axes import Box
from torchsag.fourier import half_frequencies, phase_ramp
from torchsag.geometry import Poses
from torchsag.geometry.precision import exact_product
from torchsag.spectra.gridding import ContinuousSpectrum


@dataclass(frozen=True)
class Coefficients:
    """Those coefficients of a box's half-spectrum that are placed; the others are zero.

    Attributes
    ----------
    frequencies
        Frequencies (x, y, z), cycles per voxel.
    positions
        Where each lies in the flattened half-spectrum.
    shape
        Of the half-spectrum.
    """

    frequencies: Float[Tensor, "coefficients 3"]
    positions: Integer[Tensor, " coefficients"]
    shape: tuple[int, int, int]

    @staticmethod
    def inside(
        box: Box,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        wanted: Bool[Tensor, "z y kx"] | None = None,
    ) -> Coefficients:
        """All inside the Nyquist sphere, or those of them that are wanted."""
        frequencies = half_frequencies(box, device, dtype)
        kept = frequencies.norm(dim=-1) < 0.5
        if wanted is not None:
            kept = kept & wanted
        z, y, kx = kept.shape
        return Coefficients(frequencies[kept], kept.flatten().nonzero()[:, 0], (z, y, kx))

    def add(
        self, values: Complex[Tensor, "particles coefficients"], spectra: Complex[Tensor, "particles z y kx"]
    ) -> Complex[Tensor, "particles z y kx"]:
        """Half-spectra with `values` added at these coefficients."""
        return spectra.flatten(1).index_add(1, self.positions, values).unflatten(1, self.shape)


def place_coefficients(
    reference: ContinuousSpectrum, poses: Poses, chosen: Coefficients
) -> Complex[Tensor, "particles coefficients"]:
    """``exp(-2 pi i k.t) G(R^T k)`` of the reference at each pose and each of the chosen coefficients."""
    # Row vectors: (R^T k)^T = k^T R.
    turned = exact_product(chosen.frequencies, poses.rotations)
    return reference.at(turned) * phase_ramp(chosen.frequencies, poses.shifts)


def place_spectrum(
    reference: ContinuousSpectrum, poses: Poses, wanted: Bool[Tensor, "z y kx"] | None = None
) -> Complex[Tensor, "particles z y kx"]:
    """Half-spectra of the reference at each pose, in the reference's box; zero where not wanted.

    Only frequencies inside the Nyquist sphere are kept: a corner of the Fourier box has no counterpart after a
    rotation. What lies outside the largest sphere in the box, or is shifted over its border, comes back in on the other
    side, as in any finite transform.
    """
    chosen = Coefficients.inside(reference.box, poses.rotations.device, poses.rotations.dtype, wanted)
    values = place_coefficients(reference, poses, chosen)
    return chosen.add(values, values.new_zeros(len(poses), *chosen.shape))
