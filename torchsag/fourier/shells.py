"""Sums over Fourier shells and the Fourier shell correlation."""

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.axes import Box, HalfSpectra
from torchsag.fourier.frequencies import half_shells, hermitian_multiplicity
from torchsag.keeping import kept


def shell_sums(values: Float[Tensor, "*batch z y kx"], box: Box) -> Float[Tensor, "*batch shells"]:
    """Sum a real half-spectrum quantity over the full shells 0 .. n // 2 (each coefficient with its mirror image)."""
    index, multiplicity = _places(box, values.device)
    weighted = (values * multiplicity.to(values.dtype)).flatten(-3)
    sums = values.new_zeros(*values.shape[:-3], max(box) // 2 + 2)
    return sums.index_add_(-1, index, weighted)[..., :-1]


@kept(8)
def _places(box: Box, device: torch.device) -> tuple[Integer[Tensor, " coefficients"], Float[Tensor, "z y kx"]]:
    """The shell of each coefficient, one more than the last for those beyond, and how often each stands for itself."""
    shells = half_shells(box, device=device).flatten().clamp_max(max(box) // 2 + 1)
    return shells, hermitian_multiplicity(box, device)


def squared_size(values: Complex[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``|z|^2``, without the root that `abs` takes."""
    return values.real.square() + values.imag.square()


def fourier_shell_correlation(first: HalfSpectra, second: HalfSpectra, box: Box) -> Float[Tensor, "*batch shells"]:
    """Correlation of two half-spectra on shells 0 .. n // 2; zero where either has no power."""
    cross = shell_sums((first * second.conj()).real, box)
    power = shell_sums(squared_size(first), box) * shell_sums(squared_size(second), box)
    return torch.where(
        power > 0, cross / power.clamp_min(torch.finfo(power.dtype).tiny).sqrt(), torch.zeros_like(cross)
    )


def first_below(curve: Float[Tensor, " shells"], threshold: float) -> int:
    """Number of the first shell, from 1, at which a curve is below `threshold`; the number of shells if at none."""
    below = (curve[1:] < threshold).nonzero()
    return int(below[0]) + 1 if len(below) else len(curve)


def last_above(curve: Float[Tensor, " shells"], threshold: float = 0.0) -> int:
    """Number of the last shell at which a curve is above `threshold`; -1 if at none."""
    above = (curve > threshold).nonzero()
    return int(above[-1]) if len(above) else -1


def resolution_at(fsc: Float[Tensor, " shells"], box: Box, voxel_size: float, threshold: float = 0.143) -> float:
    """Resolution (angstrom) where an FSC curve first falls below `threshold`, linear between shells.

    A curve that never falls returns the Nyquist resolution; one that is below at shell 1 returns infinity.
    """
    shell = first_below(fsc, threshold)
    if shell == len(fsc):
        return max(box) * voxel_size / (len(fsc) - 1)
    if shell == 1:
        return float("inf")
    high, low = float(fsc[shell - 1]), float(fsc[shell])
    crossing = shell - 1 + (high - threshold) / (high - low)
    return max(box) * voxel_size / crossing
