"""Wigner's small d."""

import torch
from jaxtyping import Float
from torch import Tensor


def wigner_d(degree: int, beta: Float[Tensor, " beta"]) -> Float[Tensor, "beta m n"]:
    """``d^l_mn(beta) = <l m| exp(-i beta J_y) |l n>`` for l = `degree`, m and n from -l to l, float64.

    J_y is diagonalised once instead of summing Wigner's formula, whose alternating terms cancel badly beyond l = 20.
    """
    m = torch.arange(-degree, degree + 1, dtype=torch.float64)
    raising = torch.sqrt((degree - m[:-1]) * (degree + m[:-1] + 1))
    # J_y = (J_+ - J_-) / 2i with <m+1| J_+ |m> = raising.
    plus = torch.diag(raising, -1).to(torch.complex128)
    values, vectors = torch.linalg.eigh((plus - plus.mH) / 2j)
    phases = torch.exp(-1j * beta.double()[:, None] * values)
    return ((vectors * phases[:, None, :]) @ vectors.mH).real
