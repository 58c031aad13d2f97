"""Spherical harmonics of Hermitian functions on Fourier shells.

The transform F of a real volume has an even real and an odd imaginary part, so the single real function ``Re F + Im F``
holds all of it: its even degrees belong to Re F, its odd degrees to Im F. Coefficients here are those of that real
function, in orthonormal complex harmonics with the Condon-Shortley phase, m >= 0 only, since
``h_{l,-m} = (-1)^m conj h_lm``. As even
and odd degrees never mix in a rotation or an inner product, products of these coefficients equal those of
the true ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.harmonics.analysis_table import analysis_table


def spherical_harmonics(degree: int, directions: Float[Tensor, "points 3"]) -> Complex[Tensor, "points l m"]:
    """Orthonormal ``Y_lm`` for l and m from 0 to `degree` (zero where m > l) at unit vectors (x, y, z); float64.

    The usual stable recursion over l of the normalised associated Legendre functions.
    """
    x, y, z = directions.double().unbind(-1)
    azimuth = torch.atan2(y, x)
    orders = torch.arange(degree + 1, dtype=torch.float64, device=directions.device)
    turns = torch.polar(torch.ones_like(azimuth[:, None]), azimuth[:, None] * orders)
    return _legendre(degree, torch.hypot(x, y), z) * turns[:, None, :]


def _legendre(
    degree: int, sine: Float[Tensor, " points"], cosine: Float[Tensor, " points"]
) -> Float[Tensor, "points l m"]:
    """``Y_lm`` at azimuth zero, of directions at this angle from z."""
    legendre = cosine.new_zeros(len(cosine), degree + 1, degree + 1)
    legendre[:, 0, 0] = math.sqrt(1 / (4 * math.pi))
    for m in range(1, degree + 1):
        legendre[:, m, m] = -math.sqrt((2 * m + 1) / (2 * m)) * sine * legendre[:, m - 1, m - 1]
    for m in range(degree):
        legendre[:, m + 1, m] = math.sqrt(2 * m + 3) * cosine * legendre[:, m, m]
    for l in range(2, degree + 1):  # noqa: E741
        m = torch.arange(l - 1, dtype=cosine.dtype, device=cosine.device)
        a = ((4 * l * l - 1) / (l * l - m * m)).sqrt()
        b = (((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1)).sqrt()
        before, last = legendre[:, l - 2, : l - 1], legendre[:, l - 1, : l - 1]
        legendre[:, l, : l - 1] = a * (cosine[:, None] * last - b * before)
    return legendre


@dataclass(frozen=True)
class ShellSampling:
    """Directions at which a shell is sampled, and the transform of such samples.

    Attributes
    ----------
    degree
        Largest degree l of the harmonics wanted.
    latitudes
        Gauss-Legendre latitudes; functions with degrees up to ``2 latitudes - 1 - degree`` are analysed exactly.
    """

    degree: int
    latitudes: int

    def directions(self) -> Float[Tensor, "latitudes longitudes 3"]:
        """Unit vectors (x, y, z), float64; longitudes are twice the latitudes."""
        nodes, _ = np.polynomial.legendre.leggauss(self.latitudes)
        cosine = torch.from_numpy(nodes).flip(0)  # north to south
        longitude = torch.arange(2 * self.latitudes, dtype=torch.float64) * (math.pi / self.latitudes)
        sine = torch.sqrt(1 - cosine.square())
        return torch.stack(
            [
                sine[:, None] * torch.cos(longitude),
                sine[:, None] * torch.sin(longitude),
                cosine[:, None].expand(-1, len(longitude)),
            ],
            -1,
        )

    def analyse(self, samples: Complex[Tensor, "*batch latitudes longitudes"]) -> Complex[Tensor, "*batch l m"]:
        """Coefficients (see the module) of Hermitian functions sampled at `directions`."""
        table = analysis_table(self.degree, self.latitudes).to(samples.device, samples.real.dtype)
        by_order = torch.fft.rfft(samples.real + samples.imag, norm="forward")[..., : self.degree + 1]
        parts = [torch.einsum("...km,mlk->...lm", part, table) for part in (by_order.real, by_order.imag)]
        return torch.view_as_complex(torch.stack(parts, -1))
