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

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch_harmonics import RealSHT
from torch_harmonics.quadrature import legendre_gauss_weights


def spherical_harmonics(degree: int, directions: Float[Tensor, "points 3"]) -> Complex[Tensor, "points l m"]:
    """Orthonormal ``Y_lm`` for l and m from 0 to `degree` (zero where m > l) at unit vectors (x, y, z); float64.

    The usual stable recursion over l of the normalised associated Legendre functions.
    """
    x, y, z = directions.double().unbind(-1)
    sine = torch.hypot(x, y)
    legendre = directions.new_zeros(len(directions), degree + 1, degree + 1, dtype=torch.float64)
    legendre[:, 0, 0] = math.sqrt(1 / (4 * math.pi))
    for m in range(1, degree + 1):
        legendre[:, m, m] = -math.sqrt((2 * m + 1) / (2 * m)) * sine * legendre[:, m - 1, m - 1]
    for m in range(degree):
        legendre[:, m + 1, m] = math.sqrt(2 * m + 3) * z * legendre[:, m, m]
    for m in range(degree + 1):
        for l in range(m + 2, degree + 1):  # noqa: E741
            a = math.sqrt((4 * l * l - 1) / (l * l - m * m))
            b = math.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
            legendre[:, l, m] = a * (z * legendre[:, l - 1, m] - b * legendre[:, l - 2, m])
    azimuth = torch.atan2(y, x)
    orders = torch.arange(degree + 1, dtype=torch.float64, device=directions.device)
    return legendre * torch.polar(torch.ones_like(azimuth[:, None]), azimuth[:, None] * orders)[:, None, :]


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
        nodes, _ = legendre_gauss_weights(self.latitudes)
        cosine = torch.as_tensor(nodes, dtype=torch.float64).flip(0)
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
        transform = RealSHT(
            self.latitudes, 2 * self.latitudes, lmax=self.degree + 1, mmax=self.degree + 1, grid="legendre-gauss"
        )
        transform = transform.to(device=samples.device, dtype=samples.real.dtype)
        coefficients: Tensor = transform(samples.real + samples.imag)
        return coefficients
