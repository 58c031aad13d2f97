"""Coloured noise: its power by Fourier shell, estimated from each particle alone, and its removal by whitening.

Each particle by itself, so that results do not depend on which particles share a batch. Before a pose is known all
power counts as noise, which is nearly true of subtomograms and harmless where it is not; afterwards only what the
model leaves over does.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.fourier import squared_size
from torchsag.geometry import Poses
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.observations import Observations
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


def total_spectrum(observed: Observations, band: FourierBand) -> Float[Tensor, "particles shells"]:
    """Variance by shell 1 .. K when all power is noise."""
    power = _by_shell(_squares(observed), band)
    return _smooth_variance(power, _freedom(observed, band), band)


def residual_spectrum(
    observed: Observations,
    band: FourierBand,
    table: FourierTable,
    poses: Poses,
    particle: Integer[Tensor, " particles"],
) -> Float[Tensor, "particles shells"]:
    """Variance by shell that the model at one pose per particle leaves over, its amplitude fitted to each shell.

    What was fitted took noise along: one degree of freedom per shell for its amplitude, and of the six of the pose each
    shell its part in the information.

    `band` has one block per shell (`FourierBand.by_shell`), out to a shell that `table` holds.
    """
    sums = block_sums(table, band, observed, poses, particle, torch.arange(band.num_blocks))
    amplitude = sums.cross.clamp_min(0) / sums.energy.clamp_min(torch.finfo(sums.energy.dtype).tiny)
    fitted = (amplitude > 0) + _pose_share(sums.gram * amplitude.square()[..., None, None])
    return _smooth_variance(observed.power - amplitude * sums.cross, _freedom(observed, band) - fitted, band)


def whitened(observed: Observations, band: FourierBand, variance: Float[Tensor, "particles shells"]) -> Observations:
    """Observations in units in which the noise of every particle has unit variance on every shell."""
    inverse = variance.reciprocal()[:, band.shells - 1]
    power = observed.power.new_zeros(observed.power.shape)
    power.index_add_(1, band.blocks, _squares(observed) * inverse)
    return replace(
        observed,
        data=observed.data * inverse,
        weights=observed.weights[observed.weight_index] * inverse,
        weight_index=torch.arange(len(observed), device=inverse.device),
        power=power,
    )


def _squares(observed: Observations) -> Float[Tensor, "particles coefficients"]:
    """``|Y|^2``, from ``|W Y|^2 / W^2`` where anything was measured."""
    weights = observed.weights[observed.weight_index]
    return torch.where(weights > 0, squared_size(observed.data) / weights.clamp_min(1e-30), 0)


def _by_shell(values: Float[Tensor, "rows coefficients"], band: FourierBand) -> Float[Tensor, "rows shells"]:
    return values.new_zeros(len(values), band.max_shell).index_add_(1, band.shells - 1, values)


def _freedom(observed: Observations, band: FourierBand) -> Float[Tensor, "particles shells"]:
    """Real numbers measured on each shell."""
    return 2 * _by_shell((observed.weights > 0).to(observed.power.dtype), band)[observed.weight_index]


def _pose_share(information: Float[Tensor, "particles shells 6 6"]) -> Float[Tensor, "particles shells"]:
    """How much of the six degrees of freedom of a pose each shell determines."""
    total = information.sum(1).double()
    scale = total.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(total.dtype).tiny).rsqrt()
    unit = scale[:, :, None] * total * scale[:, None, :] + 1e-6 * torch.eye(6).to(total)
    inverse = scale[:, :, None] * torch.linalg.inv(unit) * scale[:, None, :]
    return torch.einsum("pij,psij->ps", inverse, information.double()).to(information.dtype)


def _smooth_variance(
    power: Float[Tensor, "particles shells"], freedom: Float[Tensor, "particles shells"], band: FourierBand
) -> Float[Tensor, "particles shells"]:
    """Mean power per degree of freedom, as a smooth curve: a cubic in log k fitted to its logarithm.

    A shell's own estimate would chase its noise, most of all on the low shells of few coefficients, and the reported
    uncertainty would not know of it; four numbers per particle do no harm. Each shell counts by its size, the inverse
    variance of its logarithm.
    """
    mean = power / freedom.clamp_min(1)
    usable = (freedom >= 1) & (mean > 0)
    # The mean logarithm of an average of f squares lies 1 / f below the logarithm of its mean.
    logarithm = torch.where(
        usable, mean.clamp_min(torch.finfo(mean.dtype).tiny).log() + freedom.clamp_min(1).reciprocal(), 0
    )
    weight = torch.where(usable, freedom, 0).double()
    position = torch.arange(1, band.max_shell + 1, device=power.device, dtype=torch.float64).log()
    basis = (position / position[-1].clamp_min(1))[:, None] ** torch.arange(4, device=power.device)
    normal = torch.einsum("ps,si,sj->pij", weight, basis, basis)
    normal += 1e-9 * weight.sum(-1).clamp_min(1)[:, None, None] * torch.eye(4, dtype=normal.dtype, device=normal.device)
    right = torch.einsum("ps,ps,si->pi", weight, logarithm.double(), basis)
    return (torch.linalg.solve(normal, right) @ basis.T).exp().to(power.dtype)
