"""Noise level and pose uncertainty from the sums over Fourier blocks."""

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.likelihood.fourier_blocks import BlockSums, block_sums
from torchsag.likelihood.observations import Observations, observe
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

_FITTED = 7  # six degrees of freedom and the amplitude


def noise_variance(observed: Observations, score: Float[Tensor, " particles"]) -> Float[Tensor, " particles"]:
    """Noise variance per voxel of each particle, from what its best model leaves over.

    `score` is the matched filter ``cross / sqrt(energy)`` over the whole band; its square is the power explained.
    """
    left = observed.power.sum(-1) - score.clamp_min(0).square()
    freedom = (2 * observed.support - _FITTED).clamp_min(1)
    return (left / freedom).clamp_min(torch.finfo(left.dtype).tiny)


def log_likelihood_gradient(sums: BlockSums, variance: Float[Tensor, " poses"]) -> Float[Tensor, "poses 6"]:
    """Gradient of the log-likelihood of a pose, ``cross^2 / (2 energy variance)`` at the amplitude that fits best.

    By the tangent move (radians, voxels) at the pose.
    """
    total = sums.total()
    energy = total.energy[:, 0].clamp_min(torch.finfo(total.energy.dtype).tiny)
    amplitude = (total.cross[:, 0] / energy)[:, None]
    slope = amplitude * (total.cross_gradient[:, 0] - amplitude * total.energy_gradient[:, 0])
    return slope / variance[:, None]


def remaining_step(
    sums: BlockSums, variance: Float[Tensor, " poses"], covariance: Float[Tensor, "poses 6 6"]
) -> tuple[Float[Tensor, "poses 6"], Float[Tensor, " poses"]]:
    """The Gauss-Newton step still to be taken from a pose, and its length in the pose's own standard errors.

    A pose that is s of them away from its optimum has ``s^2 / 6`` more mean squared error than the optimum, and half
    of ``s^2`` less log-likelihood. Both are NaN where the covariance is.
    """
    gradient = log_likelihood_gradient(sums, variance).to(covariance)
    step = (covariance @ gradient[..., None])[..., 0]
    return step, (gradient * step).sum(-1).clamp_min(0).sqrt()


def fisher_information(
    sums: BlockSums, amplitude: Float[Tensor, " poses"], variance: Float[Tensor, " poses"]
) -> Float[Tensor, "poses 6 6"]:
    """Fisher matrix of the tangent move (radians, voxels) when the amplitude is unknown: its share is projected out."""
    total = sums.total()
    slope = total.energy_gradient[:, 0]
    energy = total.energy[:, 0].clamp_min(torch.finfo(slope.dtype).tiny)[:, None, None]
    curvature = total.gram[:, 0] - slope[:, :, None] * slope[:, None, :] / energy
    return (amplitude.square() / variance)[:, None, None] * curvature


def pose_covariance(
    sums: BlockSums, amplitude: Float[Tensor, " poses"], variance: Float[Tensor, " poses"]
) -> Float[Tensor, "poses 6 6"]:
    """The Cramer-Rao bound: inverse Fisher matrix of the tangent move; NaN where the data determine no pose."""
    fisher = fisher_information(sums, amplitude, variance).double()
    scale = fisher.diagonal(dim1=-2, dim2=-1).clamp_min(torch.finfo(fisher.dtype).tiny).rsqrt()
    unit = scale[:, :, None] * fisher * scale[:, None, :]
    factor, failed = torch.linalg.cholesky_ex(unit)
    inverse = torch.cholesky_inverse(torch.where((failed == 0)[:, None, None], factor, torch.eye(6).to(factor)))
    covariance = scale[:, :, None] * inverse * scale[:, None, :]
    return torch.where((failed == 0)[:, None, None], covariance, torch.nan).to(sums.gram.dtype)


def cramer_rao_bound(
    particles: ParticleBatch, model: DensityMap, poses: Poses, variance: float
) -> Float[Tensor, "particles 6 6"]:
    """The least covariance any unbiased estimate of these poses can have, from all a particle's box holds.

    Parameters
    ----------
    particles
        Only their weights matter.
    model
        What is in them, on their own scale.
    poses
        The true poses.
    variance
        Of the white noise, per voxel.
    """
    box = model.box[0]
    shell = box // 2 - 1
    band = FourierBand.of(box, shell, device=model.density.device)
    table = FourierTable.from_density(model.density.float(), shell)
    everyone = torch.arange(len(particles), device=model.density.device)
    sums = block_sums(table, band, observe(particles, band), poses, everyone, torch.arange(band.num_blocks))
    # `observe` measures Y in units in which noise of unit variance per voxel is of unit variance per component.
    amplitude = poses.shifts.new_full((len(particles),), (2 / box**3) ** 0.5)
    return pose_covariance(sums, amplitude, torch.full_like(amplitude, variance))
