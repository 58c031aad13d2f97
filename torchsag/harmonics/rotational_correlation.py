"""Correlation of shell functions over all rotations at once (fast rotational matching).

With coefficients f_lm and g_ln of two functions on shells, rotating g by ``R = Rz(alpha) Ry(beta) Rz(gamma)`` gives

    C(R) = sum_lmn e^{i m alpha} d^l_mn(beta) e^{i n gamma} sum_r f_lm(r) conj(g_ln(r))

(Kovacs & Wriggers, Acta Cryst. D58, 2002). Everything is a matrix product: over r, over l, over n, over m.
At these small degrees products beat fast Fourier transforms, on CPUs and GPUs alike.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.harmonics.rotation_grid import EulerGrid
from torchsag.harmonics.wigner import wigner_d


class RotationalCorrelation:
    """Correlates particles with several versions of a reference (its shifts) on an Euler grid.

    Parameters
    ----------
    grid
        Where to evaluate.
    versions
        Coefficients (m >= 0, see `torchsag.harmonics.spherical`) of each version of the reference on each shell.
    fold
        Turns about z, each ``2 pi / fold``, that leave every version as it is: orders n between its multiples are
        zero and left out. A shift off the axis takes the symmetry away: shifted versions have a fold of one, though
        the grid's gamma need only cover an asymmetric part.
    """

    def __init__(self, grid: EulerGrid, versions: Complex[Tensor, "versions shells l m"], fold: int = 1):
        self.grid = grid
        degree = grid.degree
        device, dtype = versions.device, versions.real.dtype
        n = torch.arange(-(degree // fold), degree // fold + 1) * fold
        negative = versions[..., 1:].conj() * (-1.0) ** torch.arange(1, degree + 1, device=device)
        signed = torch.cat([negative.flip(-1), versions], -1)[..., (n + degree).to(device)]
        # [l, shells, versions * n], conjugated once here
        self._reference = signed.conj().permute(2, 1, 0, 3).flatten(2).contiguous()
        self._num_versions, self._num_n = versions.shape[0], len(n)
        table = torch.zeros(degree + 1, len(n), len(grid.beta), degree + 1, dtype=torch.float64)
        for l in range(degree + 1):  # noqa: E741
            d = wigner_d(l, grid.beta)
            orders = n.abs() <= l
            table[: l + 1, orders, :, l] = d[:, l:, n[orders] + l].permute(1, 2, 0)
        self._wigner = table[:, :, None].to(device=device, dtype=dtype)
        turn_n = torch.exp(1j * n * grid.gamma[:, None])
        # rows (re, im; gamma), columns (n; re, im)
        self._from_n = (
            torch.stack([torch.stack([turn_n.real, -turn_n.imag], -1), torch.stack([turn_n.imag, turn_n.real], -1)])
            .flatten(0, 1)
            .flatten(1)
            .to(device=device, dtype=dtype)
        )
        m = torch.arange(degree + 1)
        turn_m = torch.exp(1j * m * grid.alpha[:, None]) * torch.where(m > 0, 2.0, 1.0)
        self._from_m = torch.stack([turn_m.real, -turn_m.imag], -1).flatten(1).to(device=device, dtype=dtype)

    def __call__(
        self, particles: Complex[Tensor, "particles shells l m"]
    ) -> Float[Tensor, "alpha gamma beta particles versions"]:
        """Correlation of every particle with every version at every rotation of the grid."""
        count, _, degrees, orders = particles.shape
        alpha, gamma, beta = self.grid.shape
        # over shells: [l, particles * m, shells] @ [l, shells, versions * n]
        rows = particles.permute(2, 0, 3, 1).reshape(degrees, count * orders, -1)
        products = (rows @ self._reference).unflatten(1, (count, orders)).unflatten(3, (self._num_versions, -1))
        # to [m, n, (re, im), l, particles * versions]
        stacked = torch.view_as_real(products).permute(2, 4, 5, 0, 1, 3).flatten(4)
        over_l = self._wigner @ stacked  # [m, n, (re, im), beta, particles * versions]
        over_n = self._from_n @ over_l.reshape(orders, 2 * self._num_n, -1)  # [m, (re, im) gamma, beta ...]
        over_m = self._from_m @ over_n.reshape(2 * orders, -1)
        return over_m.reshape(alpha, gamma, beta, count, self._num_versions)
