"""Fast translational matching: for a given rotation, every shift at once by one Fourier transform.

The score is the matched filter ``Re sum conj(m) D / sqrt(sum w |m|^2)`` of `torchsag.likelihood.fourier_blocks`; its
denominator does not depend on the shift, so that its best shift is that of the constrained correlation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.observations import Observations
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_AT_ONCE = 16
_NEWTON_STEPS = 4


@dataclass(frozen=True)
class TranslationalMatching:
    """Finds the shift of a reference within particles when its rotation is known.

    Attributes
    ----------
    table
        Transform of the reference.
    band
        Coefficients compared.
    max_shift
        Radius of the ball of shifts, voxels.
    """

    table: FourierTable
    band: FourierBand
    max_shift: float

    def __call__(
        self, observed: Observations, rotations: Float[Tensor, "poses 3 3"], particle: Integer[Tensor, " poses"]
    ) -> Poses:
        """The rotations with the best shift of each, sub-voxel."""
        chunks = torch.arange(len(rotations), device=rotations.device).split(_AT_ONCE)
        found = [self._best_shift(self._cross(observed, rotations[c], particle[c])) for c in chunks]
        return Poses(rotations, torch.cat(found))

    def scores(
        self, observed: Observations, poses: Poses, particle: Integer[Tensor, " poses"]
    ) -> Float[Tensor, " poses"]:
        """The matched filter at given poses."""
        terms = torch.arange(self.band.num_blocks)
        return block_sums(self.table, self.band, observed, poses, particle, terms).total().matched_filter[:, 0]

    @property
    def samples(self) -> int:
        """Shifts tried along each axis, even: four for the finest wave, unless that is more than the box has voxels."""
        return min(self.band.box - self.band.box % 2, max(8, 4 * self.band.max_shell))

    def _cross(self, observed: Observations, rotations: Tensor, particle: Tensor) -> Complex[Tensor, "poses k"]:
        value, _ = self.table.lookup(self.band.frequencies.to(rotations) @ rotations)
        return value.conj() * observed.data[particle]

    def _best_shift(self, cross: Complex[Tensor, "poses k"]) -> Float[Tensor, "poses 3"]:
        size = self.samples
        axis = torch.fft.fftfreq(size, 1 / size, device=cross.device) * (self.band.box / size)
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        outside = x.square() + y.square() + z.square() > self.max_shift**2
        peak = self._correlation(cross).masked_fill(outside, -math.inf).flatten(1).argmax(1)
        shifts = torch.stack([axis[peak % size], axis[peak // size % size], axis[peak // size**2]], -1)
        for _ in range(_NEWTON_STEPS):
            shifts = self._newton(cross, shifts)
        return shifts

    def _newton(self, cross: Complex[Tensor, "poses k"], shifts: Float[Tensor, "poses 3"]) -> Float[Tensor, "poses 3"]:
        """Towards the top between the samples; a shift where the correlation is not concave stays."""
        k = (2 * math.pi / self.band.box) * self.band.frequencies.to(shifts)
        angle = shifts @ k.T
        turned = cross * torch.polar(torch.ones_like(angle), angle)
        slope = -turned.imag @ k
        bend = (-turned.real @ (k[:, :, None] * k[:, None, :]).flatten(1)).unflatten(1, (3, 3))
        bends, axes = torch.linalg.eigh(bend)
        along = (slope[:, None] @ axes)[:, 0] / (-bends).clamp_min(torch.finfo(bends.dtype).tiny)
        step = (axes @ along[..., None])[..., 0]
        longest = 0.5 * self.band.box / self.samples
        step = step * (longest / step.norm(dim=1, keepdim=True).clamp_min(longest))
        return shifts + torch.where((bends < 0).all(1, keepdim=True), step, 0)

    def _correlation(self, cross: Complex[Tensor, "poses k"]) -> Float[Tensor, "poses z y x"]:
        """``Re sum_k cross exp(2 pi i k.t / n)`` on a grid of shifts, up to a factor."""
        size = self.samples
        x, y, z = self.band.frequencies.unbind(-1)
        spectrum = cross.new_zeros(len(cross), size * size * (size // 2 + 1))
        width = size // 2 + 1
        spectrum[:, ((z % size) * size + y % size) * width + x] = cross
        # The plane k_x = 0 holds both of a Hermitian pair.
        both = x == 0
        spectrum[:, ((-z[both] % size) * size + -y[both] % size) * width] = cross[:, both].conj()
        axes = (-3, -2, -1)
        return torch.fft.irfftn(spectrum.unflatten(1, (size, size, width)), s=(size,) * 3, dim=axes)
