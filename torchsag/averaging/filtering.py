"""What is done to an average once its FSC is known: weighting by trust, and sharpening."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import first_below, shell_sums, to_half_spectrum
from torchsag.fourier.filters import raised_cosine
from torchsag.fourier.radial import apply_shell_curve
from torchsag.particles import DensityMap


def full_map_fsc(fsc: Float[Tensor, " shells"]) -> Float[Tensor, " shells"]:
    """Correlation of the average of both halves with a noise-free map, squared: ``2 F / (1 + F)``.

    Negative values count as zero. Source: Rosenthal & Henderson 2003, J. Mol. Biol. 333:721, equation 16.
    """
    positive = fsc.clamp(0, 1)
    return 2 * positive / (1 + positive)


def figure_of_merit(fsc: Float[Tensor, " shells"], threshold: float = 0.143) -> Float[Tensor, " shells"]:
    """Weight ``sqrt(2 F / (1 + F))`` of each shell up to where the curve first falls below `threshold`, zero beyond."""
    keep = torch.arange(len(fsc), device=fsc.device) < first_below(fsc, threshold)
    return full_map_fsc(fsc).sqrt() * keep


def reference_weight(fsc: Float[Tensor, " shells"], coarsest_shell: float) -> Float[Tensor, " shells"]:
    """Least-squares weight of each shell of a half-map: the FSC itself, up to where it first falls below 0.143.

    Where that is not beyond `coarsest_shell`, a low-pass there instead: a curve of so few shells says nothing.
    """
    last = first_below(fsc, 0.143)
    shells = torch.arange(len(fsc), dtype=torch.float32)
    if last <= coarsest_shell:
        return raised_cosine(shells, coarsest_shell, 2.0)
    return fsc.clamp(0, 1) * (shells < last)


def wiener_weight(fsc: Float[Tensor, " shells"]) -> Float[Tensor, " shells"]:
    """Least-squares weight ``2 F / (1 + F)`` of each shell of the whole average; zero from the first F <= 0."""
    alive = torch.cumprod((fsc > 0).to(fsc.dtype), 0)
    return full_map_fsc(fsc) * alive


def weigh_shells(volume: DensityMap, weight: Float[Tensor, " shells"]) -> DensityMap:
    """Multiply each Fourier shell of a map."""
    return replace(volume, density=apply_shell_curve(volume.density, weight))


def filter_locally(volume: DensityMap, resolution: DensityMap, edge_shells: float = 2.0) -> DensityMap:
    """Low-pass a map around each voxel to the resolution there.

    Parameters
    ----------
    volume
        A map, unfiltered.
    resolution
        Angstrom, for each voxel, as of `torchsag.evaluation.local_resolution`.
    edge_shells
        Width of each low-pass's raised-cosine edge.

    Notes
    -----
    The map is filtered at every Fourier shell that occurs; voxels between two shells are interpolated linearly.

    Raises
    ------
    InputError
        If the boxes differ or a resolution is not above 0.
    """
    if resolution.box != volume.box or not bool((resolution.density > 0).all()):
        raise InputError(
            f"local filter: expected resolutions above 0 angstrom in the map's box of {volume.box}, got "
            f"{resolution.box} and at least {float(resolution.density.min()):g}"
        )
    n = max(volume.box)
    reached = (n * volume.voxel_size / resolution.density).clamp(1, n // 2)
    shells = torch.arange(math.ceil(n * math.sqrt(3) / 2) + 2, dtype=volume.density.dtype)
    filtered = torch.zeros_like(volume.density)
    for last in range(int(reached.min()), math.ceil(float(reached.max())) + 1):
        share = (1 - (reached - last).abs()).clamp_min(0)
        filtered += share * apply_shell_curve(volume.density, raised_cosine(shells, float(last), edge_shells))
    return replace(volume, density=filtered)


def sharpen(volume: DensityMap, b_factor_angstrom2: float) -> DensityMap:
    """Multiply amplitudes by ``exp(-B / (4 d^2))``, d the resolution: a negative B sharpens, a positive one blurs."""
    n = max(volume.box)
    frequency = torch.arange(math.ceil(n * math.sqrt(3) / 2) + 2) / (n * volume.voxel_size)
    return weigh_shells(volume, torch.exp(-b_factor_angstrom2 / 4 * frequency.square()))


def estimate_b_factor(
    volume: DensityMap,
    fsc: Float[Tensor, " shells"],
    resolution_angstrom: float,
    low_resolution_angstrom: float = 15.0,
) -> float:
    """B-factor (square angstrom) of a straight line through the Guinier plot, amplitudes weighted by `fsc`.

    Sharpen with its value as it is: for a decaying spectrum it is negative. Proteins follow such a line beyond 10 to 15
    angstrom only. Source: Rosenthal & Henderson 2003, section "Contrast restoration".

    Raises
    ------
    InputError
        If fewer than three shells lie between the two resolutions.
    """
    n = max(volume.box)
    spectrum = to_half_spectrum(volume.density.double())
    counts = shell_sums(torch.ones_like(spectrum.real), volume.box)
    power = shell_sums(spectrum.abs().square(), volume.box) / counts
    frequency = torch.arange(len(power), dtype=torch.float64) / (n * volume.voxel_size)
    used = (frequency >= 1 / low_resolution_angstrom) & (frequency <= 1 / resolution_angstrom) & (power > 0)
    used &= fsc.double() > 0
    if int(used.sum()) < 3:
        raise InputError(
            f"B-factor: expected at least three Fourier shells between {low_resolution_angstrom:g} and "
            f"{resolution_angstrom:g} angstrom, got {int(used.sum())}; give the B-factor or widen the range"
        )
    amplitude = power.sqrt() * full_map_fsc(fsc.double()).sqrt()
    slope = _slope(frequency[used].square(), amplitude[used].log())
    return 4 * slope


def _slope(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())
