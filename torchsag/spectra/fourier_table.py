"""A map's transform, oversampled, with its gradient: the model of a particle at any pose, one sample per coefficient.

Frequencies are Fourier indices of the particle's box, ``u = n * cycles per voxel``: shell k has ``|u| = k``.

Interpolation. With value v and exact gradient at the eight corners of a cell, one reduction per axis,
``v <- lerp(v0, v1) + t (1 - t) / 2 (g0 - g1)``, is exact for every quadratic: eight corners give what a 27- or 64-point
interpolant would. The gradient itself is interpolated linearly, which damps a mode at distance rho from the box centre
by ``sinc^2(rho / (n oversampling))`` on average; the stored gradient is divided by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.fourier.oversampled import oversampled_channels, oversampled_spectrum
from torchsag.keeping import kept, kept_property
from torchsag.recording import is_recorded

CHANNELS = 8  # value, d/dx, d/dy, d/dz: real and imaginary part of each


@dataclass(frozen=True)
class FourierTable:
    """Samples of a map's transform and of its gradient on a fine grid, channels last; or of several maps'.

    Attributes
    ----------
    samples
        Real and imaginary parts of the value and of its gradient along x, y and z, at ``u_x >= 0``; the other half
        follows from the transform of a real map being Hermitian. Of several maps one after another, see `stacked`.
    oversampling
        Grid points per Fourier index.
    max_shell
        The largest ``|u|`` that may be asked for.
    box
        Edge of the particle's (cubic) box, voxels.
    """

    samples: Float[Tensor, "*maps uz uy ux 8"]
    oversampling: int
    max_shell: int
    box: int

    @staticmethod
    def from_density(density: Float[Tensor, "z y x"], max_shell: int, oversampling: int = 2) -> FourierTable:
        """Transform a cubic map. Its density should vanish towards the box faces (mask it), else its copies alias."""
        box = density.shape[-1]
        reach = oversampling * (max_shell + 1)
        factors = _channel_factors(box, oversampling, density.dtype, density.device)
        if is_recorded(density):
            value, *gradient = (oversampled_spectrum(part, oversampling, reach) for part in factors * density)
            # Multiplying by i turns (re, im) into (-im, re).
            channels = [torch.view_as_real(value)] + [torch.stack([-part.imag, part.real], -1) for part in gradient]
            return FourierTable(torch.cat(channels, -1).contiguous(), oversampling, max_shell, box)
        phases = torch.tensor([1, 1j, 1j, 1j], dtype=density.dtype.to_complex(), device=density.device)
        table = oversampled_channels(factors * density, oversampling, reach, phases)
        return FourierTable(torch.view_as_real(table).flatten(-2), oversampling, max_shell, box)

    @staticmethod
    def stacked(tables: Sequence[FourierTable]) -> FourierTable:
        """The tables of several maps in one, for `torchsag.likelihood.fourier_blocks`; they are alike in all else."""
        return replace(tables[0], samples=torch.stack([table.samples for table in tables]))

    @cached_property
    def packed(self) -> np.ndarray:
        """The samples as bfloat16 in one row, bits in unsigned integers: what compiled loops read."""
        return self.samples.detach().to(torch.bfloat16).view(torch.int16).numpy().reshape(-1).view(np.uint16)

    @kept_property
    def pairs(self) -> Integer[Tensor, "*maps uz uy ux 4"]:
        """The same bits as `packed`, real and imaginary part in one number: what kernels on a GPU read."""
        return self.samples.detach().to(torch.bfloat16).contiguous().view(torch.int32)

    @kept_property
    def rounded(self) -> FourierTable:
        """The table whose samples are those of `packed`, in its own precision."""
        return replace(self, samples=self.samples.detach().to(torch.bfloat16).to(self.samples))

    @property
    def maps(self) -> int:
        """How many maps it holds."""
        return self.samples[..., 0, 0, 0, 0].numel()

    def single(self, number: int) -> FourierTable:
        """The table of one of them."""
        return replace(self, samples=self.samples.reshape(-1, *self.samples.shape[-4:])[number])

    def within(self, max_shell: int) -> FourierTable:
        """The part of the table up to a smaller shell: a smaller table is a faster one."""
        cut = self.oversampling * (self.max_shell - max_shell)
        if cut == 0:
            return self
        middle = slice(cut, -cut)
        samples = self.samples[..., middle, middle, :-cut, :].contiguous()
        return FourierTable(samples, self.oversampling, max_shell, self.box)

    def to(self, *args, **kwargs) -> FourierTable:
        """The same table in another dtype or on another device."""
        return FourierTable(self.samples.to(*args, **kwargs), self.oversampling, self.max_shell, self.box)

    def lookup(
        self, points: Float[Tensor, "*batch 3"]
    ) -> tuple[Complex[Tensor, "*batch"], Complex[Tensor, "*batch 3"]]:
        """Value and gradient at frequencies ``u`` (x, y, z); the reference form of every faster kernel.

        The gradient is the stored one, interpolated: closer to that of the map's transform than the derivative of the
        interpolated value, which is what autograd gives.
        """
        mirrored = points[..., 0] < 0
        half = torch.where(mirrored[..., None], -points, points)
        reach = self.oversampling * (self.max_shell + 1)
        offset = torch.tensor([0, reach, reach], device=points.device, dtype=points.dtype)
        place = half * self.oversampling + offset
        sizes = torch.tensor(self.samples.shape[2::-1], device=points.device)
        corner = torch.minimum(place.floor().long().clamp_min(0), sizes - 2)
        t = place - corner
        _, uy, ux, _ = self.samples.shape
        first = (corner[..., 2] * uy + corner[..., 1]) * ux + corner[..., 0]
        flat = self.samples.reshape(-1, CHANNELS)
        strides = (uy * ux, ux, 1)
        corners = [
            flat[first + dz * strides[0] + dy * strides[1] + dx * strides[2]]
            for dz in (0, 1)
            for dy in (0, 1)
            for dx in (0, 1)
        ]
        step = 1 / self.oversampling
        for axis in (2, 1, 0):  # z first: corners are ordered z, y, x
            half_count = len(corners) // 2
            corners = [
                _reduce(low, high, t[..., axis, None], axis, step)
                for low, high in zip(corners[:half_count], corners[half_count:], strict=True)
            ]
        pairs = corners[0].unflatten(-1, (4, 2))
        value, gradient = torch.view_as_complex(pairs[..., 0, :].contiguous()), pairs[..., 1:, :]
        gradient = torch.view_as_complex(gradient.contiguous())
        # F(-u) = conj F(u), so the gradient there is minus the conjugate.
        value = torch.where(mirrored, value.conj(), value)
        gradient = torch.where(mirrored[..., None], -gradient.conj(), gradient)
        return value, gradient

    def sample(self, points: Float[Tensor, "*batch 3"]) -> Complex[Tensor, "*batch"]:
        """Value at frequencies ``u``; differentiable in points and table, as often as one likes."""
        return self.lookup(points)[0]


@kept(4)
def _channel_factors(box: int, oversampling: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "4 z y x"]:
    """What a map is multiplied by before its transform is that of the value, and i times of the damped gradient."""
    axes = torch.arange(box, dtype=dtype, device=device) - box // 2
    z, y, x = torch.meshgrid(axes, axes, axes, indexing="ij")
    padded = oversampling * box
    damping = torch.sinc(x / padded) * torch.sinc(y / padded) * torch.sinc(z / padded)
    # dF/du_x = sum f(x) (-2 pi i x / n) exp(-2 pi i u.x / n); the i follows after the transform.
    steps = -2 * math.pi / box * torch.stack([x, y, z]) / damping.square()
    return torch.cat([torch.ones_like(x)[None], steps])


def _reduce(low: Tensor, high: Tensor, t: Tensor, axis: int, step: float) -> Tensor:
    """Interpolate one axis: everything linearly, the value (channels 0, 1) with the gradient's correction."""
    mixed = low + t * (high - low)
    channels = slice(2 + 2 * axis, 4 + 2 * axis)
    bend = (0.5 * step) * t * (1 - t) * (low[..., channels] - high[..., channels])
    return torch.cat([mixed[..., :2] + bend, mixed[..., 2:]], -1)
